// Socket.IO with a room per topic.
const { createServer } = require("node:http");
const { Server } = require("socket.io");
const [port, deflate] = process.argv.slice(2);

const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  perMessageDeflate: deflate === "deflate" && { threshold: 256, serverNoContextTakeover: true },
});
io.on("connection", (socket) => {
  socket.on("subscribe", (topics) => {
    socket.join(topics);
    socket.emit("ok");
  });
  socket.on("publish", (topic, data) => io.to(topic).emit("event", data));
});
http.listen({ host: "127.0.0.1", port: Number(port), backlog: 4096 });
