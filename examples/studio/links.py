"""Makes a token for each of four devices of two users, and prints the page that uses them."""

import argparse
import json
import subprocess

DEVICES = [("ada", "laptop"), ("ada", "phone"), ("ben", "desktop"), ("ben", "tablet")]


def token(program, user, device):
    command = [program, "token", "--profile", "studio", "--user", user, "--device", device, "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["token"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default="tidings")
    parser.add_argument("--pages", default="http://127.0.0.1:8000", help="where examples/ is served")
    options = parser.parse_args()
    tokens = [token(options.program, user, device) for user, device in DEVICES]
    print(f"{options.pages}/studio/page/#{','.join(tokens)}")


if __name__ == "__main__":
    main()
