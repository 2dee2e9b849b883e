// Bun's own WebSocket server (uWebSockets underneath) with its native topics.
const [port, deflate] = process.argv.slice(2);

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response("", { status: 426 })),
  websocket: {
    perMessageDeflate: deflate === "deflate",
    message(socket, message) {
      if (message[0] === "+") {
        socket.subscribe(message.slice(1));
        socket.send("ok");
        return;
      }
      const space = message.indexOf(" ");
      server.publish(message.slice(0, space), message.slice(space + 1), deflate === "deflate");
    },
  },
});
