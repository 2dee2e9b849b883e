// Topics and patterns: tokens between dots; `*` stands for one token, a final `>` for one or more,
// a final `text>` for one or more of which the first begins so.

/** Whether `pattern` selects `topic`. A wildcard in first place never covers topics with `$`. */
export function matches(pattern, topic) {
  const wanted = pattern.split(".");
  const tokens = topic.split(".");
  const isWildcard = wanted[0] === "*" || wanted[0] === ">";
  if (isWildcard && topic.startsWith("$")) return false;
  for (let at = 0; at < wanted.length; at += 1) {
    if (at >= tokens.length) return false;
    if (wanted[at].endsWith(">")) return tokens[at].startsWith(wanted[at].slice(0, -1));
    if (wanted[at] !== "*" && wanted[at] !== tokens[at]) return false;
  }
  return wanted.length === tokens.length;
}
