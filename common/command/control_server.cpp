#include "common/command/control_server.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <mutex>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/base/thread.h"
#include "common/command/control_channel.h"

namespace espalier::command {
namespace {

bool yes(const Json& message, const char* name) {
  return message.contains(name) && message[name].is_boolean() && message[name].get<bool>();
}

}  // namespace

// One client. The server's thread reads its messages and queues them; the session's own thread runs
// the commands and writes.
class ControlServer::Session {
 public:
  Session(const Dispatcher& dispatcher, FileDescriptor socket, const WakeUp& server)
      : dispatcher_(dispatcher), socket_(std::move(socket)), server_(server) {}

  // After an error the session may only be destroyed.
  Result<void> start() {
    return startThread(thread_, [this] { serve(); });
  }

  int socket() const { return socket_.get(); }
  bool done() const { return done_; }
  bool readable() const { return open_; }

  // Called by the server's thread when the socket is readable.
  void receive() {
    const auto state = reader_.receive(socket_.get());
    while (auto message = reader_.next()) take(std::move(*message));
    if (state == LineReader::State::ended) leave();
  }

  // Interrupts the running command. Its answer is still written.
  void interrupt() {
    stop_.request_stop();
    const std::lock_guard lock(mutex_);
    closing_ = true;
    changed_.notify_all();
  }

  // For a client that reads nothing, and would delay the end.
  void cut() { ::shutdown(socket_.get(), SHUT_RDWR); }

 private:
  void leave() {
    open_ = false;
    interrupt();
  }

  void take(Json message) {
    if (yes(message, "cancel")) {
      stop_.request_stop();
      const std::lock_guard lock(mutex_);
      changed_.notify_all();
      return;
    }
    const std::lock_guard lock(mutex_);
    auto& inbox = message.contains("answer") ? answers_ : requests_;
    if (inbox.size() < limits::kControlMessages) inbox.push_back(std::move(message));
    changed_.notify_all();
  }

  void serve() {
    while (true) {
      Json request;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return closing_ || !requests_.empty(); });
        if (requests_.empty()) break;
        request = std::move(requests_.front());
        requests_.pop_front();
        answers_.clear();
      }
      if (!runRequest(request)) break;
    }
    done_ = true;
    server_.wake();
  }

  bool runRequest(const Json& request) {
    const auto command = getBytes(request, "run");
    if (!command) {
      return sendText(socket_.get(), "err", "a request is {\"run\":\"COMMAND\"}\n") &&
             sendLine(socket_.get(), {{"exit", exitCode(ErrorCode::usage)}, {"stops", true}});
    }
    Context context;
    context.stop = stop_.get_token();
    context.json = yes(request, "json");
    context.directory = getBytes(request, "directory").value_or("");
    context.nowhere = context.directory.empty();
    // An older client sends no home. Then it is this process's.
    if (request.contains("home")) context.home = getBytes(request, "home");
    context.say = [this](const std::string& line) { sendLine(socket_.get(), {{"say", line}}); };
    if (context.json) {
      context.event = [this](const Json& event) {
        Json message;
        message["event"] = event;
        sendLine(socket_.get(), message);
      };
    }
    if (yes(request, "progress")) {
      context.progress = [this](const Progress& progress) { sendProgress(progress); };
    }
    if (yes(request, "ask")) {
      context.ask = [this](const std::string& question) { return ask(question); };
    }
    // The client shows the output of its own command at the end, and notices at once.
    context.run = [&](const std::string& other) {
      const auto format = context.json ? Format::json : Format::text;
      const auto rendered = render(dispatcher_.runLine(other, context), format);
      for (const auto& text : {rendered.out, rendered.err}) {
        std::string_view rest = text;
        while (!rest.empty()) {
          const auto end = std::min(rest.find('\n'), rest.size());
          context.say(std::string(rest.substr(0, end)));
          rest.remove_prefix(std::min(end + 1, rest.size()));
        }
      }
    };
    const Outcome outcome = dispatcher_.runLine(*command, context);
    bool isSent = true;
    const auto send = [&](const char* name) {
      return [&isSent, name, this](std::string_view piece) {
        isSent = isSent && sendText(socket_.get(), name, piece);
      };
    };
    render(outcome, context.json ? Format::json : Format::text, send("out"), send("err"));
    Json end;
    end["exit"] = outcome.exitCode();
    end["stops"] = outcome.stops();
    return isSent && sendLine(socket_.get(), end);
  }

  void sendProgress(const Progress& progress) {
    const auto now = Clock::now();
    const bool last = progress.name.empty() || progress.done == progress.total;
    if (!last && now - progressSent_ < limits::kProgressInterval) return;
    // If the client does not read, it misses this progress; the transfer goes on.
    pollfd room{socket_.get(), POLLOUT, 0};
    if (::poll(&room, 1, 0) != 1) return;
    progressSent_ = now;
    sendLine(socket_.get(), progressMessage(progress));
  }

  std::optional<std::string> ask(const std::string& question) {
    if (!sendLine(socket_.get(), {{"ask", question}})) return std::nullopt;
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closing_ || stop_.stop_requested() || !answers_.empty(); });
    if (answers_.empty()) return std::nullopt;
    const Json answer = std::move(answers_.front());
    answers_.pop_front();
    if (!answer["answer"].is_string()) return std::nullopt;
    return answer["answer"].get<std::string>();
  }

  const Dispatcher& dispatcher_;
  FileDescriptor socket_;
  const WakeUp& server_;  // the server's thread, told of the end
  LineReader reader_;     // the server's thread
  bool open_ = true;      // the server's thread
  std::stop_source stop_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<Json> requests_;
  std::deque<Json> answers_;
  bool closing_ = false;
  TimePoint progressSent_{};  // the session's thread
  std::atomic<bool> done_ = false;
  std::jthread thread_;
};

Result<std::unique_ptr<ControlServer>> ControlServer::start(const std::string& stateDir,
                                                            const Dispatcher& dispatcher) {
  auto server = claim(stateDir);
  if (!server) return server;
  if (const auto served = (*server)->serve(dispatcher); !served) return served.error();
  return server;
}

Result<std::unique_ptr<ControlServer>> ControlServer::claim(const std::string& stateDir) {
  auto state = StateClaim::take(stateDir);
  if (!state) return state.error();
  auto wakeUp = WakeUp::create();
  if (!wakeUp) return wakeUp.error();
  return std::unique_ptr<ControlServer>(
      new ControlServer(stateDir, *std::move(state), *std::move(wakeUp)));
}

ControlServer::ControlServer(std::string stateDir, StateClaim state, WakeUp wakeUp)
    : stateDir_(std::move(stateDir)), state_(std::move(state)), wakeUp_(std::move(wakeUp)) {}

Result<void> ControlServer::serve(const Dispatcher& dispatcher) {
  dispatcher_ = &dispatcher;
  return startThread(thread_, [this](const std::stop_token& stop) { run(stop); });
}

ControlServer::~ControlServer() {
  stop();
}

void ControlServer::stop() {
  if (!thread_.joinable()) return state_.hide();
  thread_.request_stop();
  wakeUp_.wake();
  thread_.join();
}

// The user may remove the folder at any time.
void ControlServer::checkState() {
  using Found = StateClaim::Found;
  nextCheck_ = Clock::now() + limits::kStateCheck;
  const auto [found, why] = state_.check();
  if (found == Found::whole || found == Found::restored) toldGone_ = false;
  switch (found) {
    case Found::whole:
      return;
    case Found::restored:
      log::warning("the state folder {} was removed or moved away; it has been made again",
                   escaped(stateDir_));
      if (onRestored_) onRestored_();
      return;
    case Found::gone:
      if (std::exchange(toldGone_, true)) return;
      return log::warning("the state folder {} is gone, and can't be made again: {}; trying again",
                          escaped(stateDir_), why);
    case Found::taken:
      if (std::exchange(toldGone_, true)) return;
      return log::error(
          "another process has taken the state folder {}: stop one of the two; commands with -e "
          "reach the other",
          escaped(stateDir_));
  }
}

void ControlServer::run(const std::stop_token& stop) {
  constexpr auto kCheck = std::chrono::milliseconds(limits::kStateCheck);
  TimePoint end = kNever;
  while (true) {
    sessions_.remove_if([](const auto& session) { return session->done(); });
    if (stop.stop_requested()) {
      if (end == kNever) {
        state_.hide();  // new clients find no server, instead of one that is ending
        end = Clock::now() + limits::kControlGrace;
        for (auto& session : sessions_) session->interrupt();
      }
      if (sessions_.empty()) return;
      if (Clock::now() >= end) {
        for (auto& session : sessions_) session->cut();
      }
    }
    if (!stop.stop_requested() && Clock::now() >= nextCheck_) checkState();
    std::vector<pollfd> waiting = {{wakeUp_.descriptor(), POLLIN, 0}};
    if (!stop.stop_requested()) waiting.push_back({state_.listener(), POLLIN, 0});
    std::vector<Session*> readers;
    const std::size_t first = waiting.size();
    for (auto& session : sessions_) {
      if (!session->readable()) continue;
      waiting.push_back({session->socket(), POLLIN | POLLRDHUP, 0});
      readers.push_back(session.get());
    }
    const int patience = stop.stop_requested() ? 100 : static_cast<int>(kCheck.count());
    if (::poll(waiting.data(), waiting.size(), patience) < 0) continue;
    if (waiting[0].revents != 0) wakeUp_.clear();
    for (std::size_t i = 0; i < readers.size(); ++i) {
      if (waiting[first + i].revents != 0) readers[i]->receive();
    }
    if (first == 2 && waiting[1].revents != 0) acceptOne();
  }
}

void ControlServer::acceptOne() {
  FileDescriptor socket(::accept4(state_.listener(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!socket || !isSameUser(socket.get())) return;
  const auto refuse = [](int client, const std::string& why) {
    sendText(client, "err", why + "\n");
    sendLine(client, {{"exit", exitCode(ErrorCode::timeout)}, {"stops", true}});
  };
  if (sessions_.size() >= limits::kControlSessions) {
    return refuse(socket.get(), "too many commands at once: try again");
  }
  auto session = std::make_unique<Session>(*dispatcher_, std::move(socket), wakeUp_);
  if (const auto started = session->start(); !started) {
    return refuse(session->socket(), "busy: " + started.error().message);
  }
  sessions_.push_back(std::move(session));
}

}  // namespace espalier::command
