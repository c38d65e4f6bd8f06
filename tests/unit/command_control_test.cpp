#include "common/command/control_server.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <condition_variable>
#include <fstream>
#include <mutex>

#include "common/base/fs.h"
#include "common/base/limits.h"
#include "common/base/state_folder.h"
#include "common/command/control_channel.h"
#include "common/command/control_client.h"
#include "common/command/liveness.h"

using namespace espalier;
using namespace espalier::command;
using namespace std::chrono_literals;

namespace {

// A state folder whose path is longer than a socket's address may be.
class StateFolder {
 public:
  StateFolder() {
    char name[] = "/tmp/espalier-control-XXXXXX";
    root_ = ::mkdtemp(name);
  }
  ~StateFolder() { fs::remove_all(root_); }
  std::string path() const {
    return root_ + "/" + std::string(100, 'a') + "/" + std::string(100, 'b');
  }

 private:
  std::string root_;
};

// A command that waits until the test releases or interrupts it; counts both.
class Gate {
 public:
  Outcome wait(Context& context) {
    std::unique_lock lock(mutex_);
    ++entered_;
    changed_.notify_all();
    if (!changed_.wait(lock, context.stop, [this] { return open_; })) {
      ++interrupted_;
      changed_.notify_all();
      return Outcome::failed("wait", {ErrorCode::interrupted, "interrupted"});
    }
    return Outcome::done("wait");
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void awaitEntered(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return entered_ >= count; });
  }
  void awaitInterrupted() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return interrupted_ > 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  int entered_ = 0;
  int interrupted_ = 0;
  bool open_ = false;
};

Command command(const std::string& name,
                std::function<Outcome(const Arguments&, Context&)> handler) {
  Command result;
  result.name = result.usage = name;
  result.maxValues = 1;
  result.handler = std::move(handler);
  return result;
}

// What the commands below come to.
struct Said {
  std::string text;
  std::optional<std::string> directory = {};
};

void addMembers(Json& data, const Said& said) {
  data["text"] = said.text;
  if (said.directory) data["directory"] = *said.directory;
}

std::string textOf(const Said& said) {
  return said.text;
}

// A program with an echo, a question, progress, a gate, and a long answer.
struct Running {
  Gate gate;
  Dispatcher dispatcher{{
      command(
          "echo",
          [](const Arguments& arguments, Context& context) {
            return Outcome::done("echo", Said{arguments.values.at(0) + "\n", context.directory});
          }),
      command("ask",
              [](const Arguments&, Context& context) {
                if (!context.ask) return Outcome::failed("ask", {ErrorCode::failed, "nobody"});
                const auto answer = context.ask("which one> ");
                return Outcome::done("ask", Said{answer.value_or("none") + "\n"});
              }),
      command("work",
              [](const Arguments&, Context& context) {
                if (context.progress) context.progress({"f", 12, 12});
                context.say("nearly there");
                return Outcome::done("work");
              }),
      command("long",
              [](const Arguments&, Context&) {
                std::string text;
                for (int i = 0; i < 20'000; ++i) text += "größe ";
                return Outcome::done("long", Said{text + "\n"});
              }),
      command("bytes",
              [](const Arguments& arguments, Context& context) {
                const auto hex = [](const std::string& bytes) {
                  std::string text;
                  for (const char c : bytes) {
                    text += fmt::format("{:02x}", static_cast<unsigned char>(c));
                  }
                  return text;
                };
                return Outcome::done("bytes", Said{hex(arguments.values.at(0)) + " " +
                                                   hex(context.directory) + "\n"});
              }),
      command("wait", [this](const Arguments&, Context& context) { return gate.wait(context); }),
  }};
};

struct Client {
  Context context;
  std::string out;
  std::string err;

  std::optional<int> run(const std::string& state, const std::vector<std::string>& lines) {
    const Output output{[this](const std::string& text) { out += text; },
                        [this](const std::string& text) { err += text; }};
    context.directory = context.directory.empty() ? "/" : context.directory;
    return runInRunning({"the program", state}, lines, context, output);
  }
};

}  // namespace

TEST_CASE("a command reaches the program that runs, over a path of any length") {
  StateFolder state;
  Running running;
  Client client;
  CHECK(client.run(state.path(), {"echo hello"}) == std::nullopt);
  const auto server = ControlServer::start(state.path(), running.dispatcher);
  REQUIRE(server.ok());
  CHECK(client.run(state.path(), {"echo hello", "echo 'a b'"}) == 0);
  CHECK(client.out == "hello\na b\n");
  CHECK(client.run(state.path(), {"tpo", "echo on"}) == 64);
  CHECK(client.err == "there is no command \"tpo\": `help` lists the commands\n");
  CHECK(client.out == "hello\na b\non\n");
}

TEST_CASE("the socket is for its user only") {
  StateFolder state;
  Running running;
  const auto server = ControlServer::start(state.path(), running.dispatcher);
  REQUIRE(server.ok());
  struct stat status {};
  REQUIRE(::stat((state.path() + "/control.sock").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  REQUIRE(::stat(state.path().c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0700);
}

TEST_CASE("JSON, the asker's folder, questions, progress and long answers cross the socket") {
  StateFolder state;
  Running running;
  const auto server = ControlServer::start(state.path(), running.dispatcher);
  REQUIRE(server.ok());
  Client client;
  client.context.json = true;
  client.context.directory = "/home/ann";
  CHECK(client.run(state.path(), {"echo x"}) == 0);
  CHECK(client.out == "{\"command\":\"echo\",\"text\":\"x\\n\",\"directory\":\"/home/ann\"}\n");

  Client person;
  CHECK(person.run(state.path(), {"ask"}) == 1);
  person.context.ask = [](const std::string& question) -> std::optional<std::string> {
    CHECK(question == "which one> ");
    return "the second";
  };
  std::vector<Progress> seen;
  std::vector<std::string> said;
  person.context.progress = [&](const Progress& progress) { seen.push_back(progress); };
  person.context.say = [&](const std::string& line) { said.push_back(line); };
  CHECK(person.run(state.path(), {"ask", "work", "long"}) == 0);
  CHECK(person.out.starts_with("the second\ngröße größe "));
  CHECK(person.out.size() == std::string("the second\n").size() + 20'000 * 8 + 1);
  CHECK(person.out.find("\xEF\xBF\xBD") == std::string::npos);
  REQUIRE(seen.size() >= 2);
  CHECK(seen[0].name.empty());  // behind `ask`
  CHECK(seen[1] == Progress{"f", 12, 12});
  CHECK(said == std::vector<std::string>{"nearly there"});
}

TEST_CASE("bytes that are not UTF-8 cross the socket unchanged") {
  StateFolder state;
  Running running;
  const auto server = ControlServer::start(state.path(), running.dispatcher);
  REQUIRE(server.ok());
  Client client;
  client.context.directory = "/caf\xE9/\xFF";
  CHECK(client.run(state.path(), {"bytes x\xE9"}) == 0);
  CHECK(client.out == "78e9 2f636166e92fff\n");
  client.out.clear();
  client.context.json = true;
  CHECK(client.run(state.path(), {"echo \xFF\xC2\x85"}) == 0);
  CHECK(Json::parse(client.out)["text"] == "\xEF\xBF\xBD\xC2\x85\n");
  CHECK(client.out.find("\\u0085") != std::string::npos);  // it would steer a terminal
}

TEST_CASE("a command that breaks off shows only one whole error") {
  StateFolder state;
  const auto made = openStateFolder(state.path());
  REQUIRE(made.ok());
  const auto listener = listenControl(made->get());
  REQUIRE(listener.ok());
  for (const bool json : {true, false}) {
    std::jthread program([&] {
      pollfd waiting{listener->get(), POLLIN, 0};
      ::poll(&waiting, 1, -1);
      const FileDescriptor socket(::accept(listener->get(), nullptr, nullptr));
      sendLine(socket.get(), {{"out", "{\"command\":\""}});
      sendLine(socket.get(), {{"progress", {{"name", 7}, {"done", "x"}}}});
      sendLine(socket.get(), Json::array());
    });
    Client client;
    client.context.json = json;
    client.context.progress = [](const Progress&) {};
    CHECK(client.run(state.path(), {" get 'a b", "echo x"}) == 74);
    const std::string message = "the program ended while the command ran";
    if (json) {
      CHECK(Json::parse(client.out)["command"] == "get");
      CHECK(Json::parse(client.out)["error"]["message"] == message);
      CHECK(client.err.empty());
    } else {
      CHECK(client.out.empty());
      CHECK(client.err == message + "\n");
    }
  }
}

TEST_CASE("a refused client gets an object, too") {
  StateFolder state;
  const auto made = openStateFolder(state.path());
  const auto listener = listenControl(made->get());
  REQUIRE(listener.ok());
  std::jthread program([&] {
    pollfd waiting{listener->get(), POLLIN, 0};
    ::poll(&waiting, 1, -1);
    const FileDescriptor socket(::accept(listener->get(), nullptr, nullptr));
    sendText(socket.get(), "err", "too many\n");
    sendLine(socket.get(), {{"exit", 75}});
  });
  Client client;
  client.context.json = true;
  CHECK(client.run(state.path(), {"get x"}) == 75);
  CHECK(client.out == "{\"command\":\"get\",\"error\":{\"code\":75,\"message\":\"too many\"}}\n");
  CHECK(client.err.empty());
}

TEST_CASE("output of a running program cannot control the terminal") {
  StateFolder state;
  const auto made = openStateFolder(state.path());
  const auto listener = listenControl(made->get());
  REQUIRE(listener.ok());
  std::jthread program([&] {
    pollfd waiting{listener->get(), POLLIN, 0};
    ::poll(&waiting, 1, -1);
    const FileDescriptor socket(::accept(listener->get(), nullptr, nullptr));
    sendText(socket.get(), "out", "a\x1b[2Jb\n");
    sendText(socket.get(), "err", "\x07\n");
    sendLine(socket.get(), {{"exit", 300}});
  });
  Client client;
  CHECK(client.run(state.path(), {"topo"}) == (300 & 0xFF));
  CHECK(client.out == "a\\x1b[2Jb\n");
  CHECK(client.err == "\\x07\n");
}

TEST_CASE("a program that answers no probe counts as stopped, one with a long command does not") {
  StateFolder state;
  Running running;
  const auto server = ControlServer::claim(state.path());
  REQUIRE(server.ok());
  const auto folder = findStateFolder(state.path());
  REQUIRE(folder.ok());
  const auto lookUntil = [](Liveness& liveness, std::size_t answers) {
    while (liveness.look() && liveness.answers() < answers) {
      pollfd waiting{liveness.descriptor(), POLLIN, 0};
      ::poll(&waiting, 1, 1);
    }
  };
  Liveness silent(folder->get(), {1ms, 50ms});
  lookUntil(silent, 1);
  CHECK(silent.answers() == 0);

  REQUIRE((*server)->serve(running.dispatcher).ok());
  Client waiting;
  std::jthread first([&] { waiting.run(state.path(), {"wait"}); });
  running.gate.awaitEntered(1);
  Liveness alive(folder->get(), {1ms, 1min});
  lookUntil(alive, 3);
  CHECK(alive.answers() == 3);
  running.gate.open();
}

TEST_CASE("a full queue of connections does not block for ever") {
  StateFolder state;
  const auto server = ControlServer::claim(state.path());
  REQUIRE(server.ok());
  const auto folder = findStateFolder(state.path());
  std::vector<FileDescriptor> waiting;
  auto socket = connectControl(folder->get());
  while (socket) {
    waiting.push_back(std::move(*socket));
    socket = connectControl(folder->get());
  }
  CHECK(socket.error().code == ErrorCode::timeout);
  std::stop_source stop;
  stop.request_stop();
  CHECK(connectPatiently(folder->get(), limits::kControlPatience, stop.get_token()).error().code ==
        ErrorCode::interrupted);
}

TEST_CASE("two clients are served at once") {
  StateFolder state;
  Running running;
  const auto server = ControlServer::start(state.path(), running.dispatcher);
  REQUIRE(server.ok());
  Client waiting;
  std::optional<int> code;
  std::jthread first([&] { code = waiting.run(state.path(), {"wait"}); });
  running.gate.awaitEntered(1);
  Client second;
  CHECK(second.run(state.path(), {"echo meanwhile"}) == 0);
  running.gate.open();
  first.join();
  CHECK(code == 0);
}

TEST_CASE("Ctrl-C at the client cancels the command, with 130") {
  StateFolder state;
  Running running;
  const auto server = ControlServer::start(state.path(), running.dispatcher);
  REQUIRE(server.ok());
  Client client;
  std::stop_source interrupt;
  client.context.stop = interrupt.get_token();
  std::optional<int> code;
  std::jthread thread([&] { code = client.run(state.path(), {"wait", "echo no"}); });
  running.gate.awaitEntered(1);
  interrupt.request_stop();
  thread.join();
  CHECK(code == 130);
  CHECK(client.out.empty());
  CHECK(client.err == "interrupted\n");
}

TEST_CASE("a client that disconnects interrupts its command") {
  StateFolder state;
  Running running;
  const auto server = ControlServer::start(state.path(), running.dispatcher);
  REQUIRE(server.ok());
  const auto folder = openStateFolder(state.path());
  auto socket = connectControl(folder->get());
  REQUIRE(socket.ok());
  REQUIRE(sendLine(socket->get(), {{"run", "wait"}}));
  running.gate.awaitEntered(1);
  socket->reset();
  running.gate.awaitInterrupted();
}

TEST_CASE("a client that sends invalid or endless lines is dropped, and no other client is") {
  StateFolder state;
  Running running;
  const auto server = ControlServer::start(state.path(), running.dispatcher);
  REQUIRE(server.ok());
  const auto folder = openStateFolder(state.path());
  auto socket = connectControl(folder->get());
  REQUIRE(socket.ok());
  const std::string nonsense = "[1,{}\n\n{\"run\":7,\"json\":\"x\"}\n{\"answer\":{}}\n";
  REQUIRE(::send(socket->get(), nonsense.data(), nonsense.size(), MSG_NOSIGNAL) > 0);
  const std::string endless(limits::kControlLineBytes, '[');
  std::string_view rest = endless;
  while (!rest.empty()) {
    const auto sent = ::send(socket->get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent <= 0) break;
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
  char chunk[4096];
  ssize_t received = 1;
  while (received > 0) received = ::recv(socket->get(), chunk, sizeof chunk, 0);
  Client client;
  CHECK(client.run(state.path(), {"echo fine"}) == 0);
}

TEST_CASE("only one program serves a folder, and leaves it clean") {
  StateFolder state;
  Running running;
  {
    const auto first = ControlServer::start(state.path(), running.dispatcher);
    REQUIRE(first.ok());
    const auto second = ControlServer::start(state.path(), running.dispatcher);
    REQUIRE_FALSE(second.ok());
    CHECK(second.error().code == ErrorCode::refused);
    Client client;
    CHECK(client.run(state.path(), {"echo still"}) == 0);
  }
  CHECK_FALSE(fs::exists(state.path() + "/control.sock"));
  Client client;
  CHECK(client.run(state.path(), {"echo nobody"}) == std::nullopt);
}

TEST_CASE("a client that connects to a claimed state folder is answered once it is served") {
  StateFolder state;
  Running running;
  const auto server = ControlServer::claim(state.path());
  REQUIRE(server.ok());
  CHECK(ControlServer::claim(state.path()).error().code == ErrorCode::refused);
  const auto folder = openStateFolder(state.path());
  REQUIRE(folder.ok());
  const auto socket = connectControl(folder->get());
  REQUIRE(socket.ok());
  REQUIRE(sendLine(socket->get(), {{"run", "echo hello"}}));

  REQUIRE((*server)->serve(running.dispatcher).ok());

  LineReader reader;
  std::optional<Json> answer;
  pollfd waiting{socket->get(), POLLIN, 0};
  while (!(answer = reader.next()) && ::poll(&waiting, 1, -1) == 1) {
    REQUIRE(reader.receive(socket->get()) == LineReader::State::open);
  }
  CHECK((*answer)["out"] == "hello\n");
}

TEST_CASE("a socket without a program behind it is replaced") {
  StateFolder state;
  Running running;
  fs::create_directories(state.path());
  {
    const auto folder = openStateFolder(state.path());
    const auto dead = listenControl(folder->get());  // closed without being unlinked
    REQUIRE(dead.ok());
  }
  REQUIRE(fs::exists(state.path() + "/control.sock"));
  Client client;
  CHECK(client.run(state.path(), {"echo nobody"}) == std::nullopt);
  const auto server = ControlServer::start(state.path(), running.dispatcher);
  REQUIRE(server.ok());
  CHECK(client.run(state.path(), {"echo hello"}) == 0);
}

TEST_CASE("a program that ends interrupts its commands, and their clients get that result") {
  StateFolder state;
  Running running;
  auto server = ControlServer::start(state.path(), running.dispatcher);
  REQUIRE(server.ok());
  Client client;
  std::optional<int> code;
  std::jthread thread([&] { code = client.run(state.path(), {"wait"}); });
  running.gate.awaitEntered(1);
  server->reset();
  thread.join();
  CHECK(code == 130);
}

TEST_CASE("commands beyond the number of sessions are refused") {
  StateFolder state;
  Running running;
  const auto server = ControlServer::start(state.path(), running.dispatcher);
  REQUIRE(server.ok());
  std::vector<Client> clients(limits::kControlSessions);
  std::vector<std::jthread> threads;
  for (auto& client : clients) {
    threads.emplace_back([&client, &state] { client.run(state.path(), {"wait"}); });
  }
  running.gate.awaitEntered(static_cast<int>(limits::kControlSessions));
  Client late;
  CHECK(late.run(state.path(), {"echo late"}) == 75);
  CHECK(late.err == "too many commands at once: try again\n");
  running.gate.open();
  threads.clear();
}
