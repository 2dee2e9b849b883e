// The ws package with a set of sockets per topic.
const { WebSocketServer } = require("ws");
const [port, deflate] = process.argv.slice(2);

const topics = new Map();
const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(port),
  backlog: 4096,
  perMessageDeflate: deflate === "deflate" && { threshold: 256, serverNoContextTakeover: true },
});
server.on("connection", (socket) => {
  socket.on("message", (bytes) => {
    const message = bytes.toString();
    if (message[0] === "+") {
      const topic = message.slice(1);
      if (!topics.has(topic)) topics.set(topic, new Set());
      topics.get(topic).add(socket);
      socket.on("close", () => topics.get(topic).delete(socket));
      socket.send("ok");
      return;
    }
    const space = message.indexOf(" ");
    const data = message.slice(space + 1);
    for (const other of topics.get(message.slice(0, space)) ?? []) other.send(data);
  });
});
