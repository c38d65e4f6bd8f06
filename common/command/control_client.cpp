#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <filesystem>

#include "common/base/limits.h"
#include "common/base/state_folder.h"
#include "common/command/control.h"
#include "common/command/control_channel.h"
#include "common/command/state_claim.h"

namespace espalier::command {
namespace {

// What one command came to.
struct Ended {
  int exitCode = 0;
  bool stops = false;
};

int tell(const Error& error, const Context& context, const Output& output) {
  if (context.json) {
    output.out(Outcome::failed("", error).data.dump() + "\n");
  } else {
    output.err(error.message + "\n");
  }
  return exitCode(error.code);
}

class Client {
 public:
  Client(FileDescriptor socket, Context& context, const Output& output)
      : socket_(std::move(socket)),
        context_(context),
        output_(output),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        onStop_(context.stop, [this] {
          const std::uint64_t one = 1;
          [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
        }) {}

  Ended run(const std::string& line) {
    Json request;
    request["run"] = line;
    request["json"] = context_.json;
    request["progress"] = static_cast<bool>(context_.progress);
    request["ask"] = static_cast<bool>(context_.ask);
    std::error_code failure;
    request["directory"] = context_.directory.empty()
                               ? std::filesystem::current_path(failure).string()
                               : context_.directory;
    // Also when it cannot be sent: whoever turned us away has said why.
    sendLine(socket_.get(), request);
    TimePoint giveUp = kNever;
    while (true) {
      while (auto message = reader_.next()) {
        if (const auto end = take(*message)) return *end;
      }
      if (ended_) return lost();
      if (giveUp != kNever && Clock::now() >= giveUp) return interrupted();
      if (context_.stop.stop_requested() && giveUp == kNever) {
        giveUp = Clock::now() + limits::kControlGrace;
        sendLine(socket_.get(), {{"cancel", true}});
      }
      wait(giveUp != kNever);
    }
  }

 private:
  void wait(bool cancelled) {
    pollfd waiting[] = {{socket_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    // Once cancelled the eventfd stays readable, and there is a deadline to look at.
    ::poll(waiting, cancelled ? 1 : 2, cancelled ? 100 : -1);
    if (waiting[0].revents != 0)
      ended_ = reader_.receive(socket_.get()) == LineReader::State::ended;
  }

  std::optional<Ended> take(const Json& message) {
    const auto text = [&](const char* name) {
      return message.contains(name) && message[name].is_string() ? message[name].get<std::string>()
                                                                 : std::string();
    };
    if (message.contains("exit") && message["exit"].is_number_integer()) {
      const bool stops = message.contains("stops") && message["stops"] == true;
      return Ended{message["exit"].get<int>(), stops};
    }
    if (message.contains("out")) output_.out(text("out"));
    if (message.contains("err")) output_.err(text("err"));
    if (message.contains("event") && context_.event) context_.event(message["event"]);
    if (message.contains("say") && context_.say) context_.say(text("say"));
    if (message.contains("progress") && context_.progress) showProgress(message["progress"]);
    if (message.contains("ask")) {
      const auto answer = context_.ask ? context_.ask(text("ask")) : std::nullopt;
      sendLine(socket_.get(), {{"answer", answer ? Json(*answer) : Json(nullptr)}});
    }
    return std::nullopt;
  }

  void showProgress(const Json& data) {
    Progress progress;
    if (data.is_object()) {
      progress.name = data.value("name", "");
      progress.done = data.value("done", std::uint64_t{0});
      progress.total = data.value("total", std::uint64_t{0});
      progress.detail = data.value("detail", "");
      const auto unit = data.value("unit", "");
      progress.unit = unit == "items" ? Unit::items : unit == "none" ? Unit::none : Unit::bytes;
    }
    context_.progress(progress);
  }

  Ended fail(const Error& error) { return {tell(error, context_, output_), true}; }
  Ended lost() { return fail({ErrorCode::io, "the running program ended before it had answered"}); }
  Ended interrupted() { return fail({ErrorCode::interrupted, "interrupted"}); }

  FileDescriptor socket_;
  Context& context_;
  const Output& output_;
  LineReader reader_;
  bool ended_ = false;
  FileDescriptor wake_;
  std::stop_callback<std::function<void()>> onStop_;
};

}  // namespace

std::optional<int> runInRunning(const std::string& stateDir, const std::vector<std::string>& lines,
                                Context& context, const Output& output) {
  awaitState(stateDir, context.stop);
  // Before anything is said: a folder of another user's may hold a socket of another user's.
  const auto folder = findStateFolder(stateDir);
  if (!folder && folder.error().code == ErrorCode::failed) return std::nullopt;
  if (!folder) return tell(folder.error(), context, output);
  auto socket = connectControl(folder->get());
  if (!socket && socket.error().code == ErrorCode::unavailable) return std::nullopt;
  if (!socket) return tell(socket.error(), context, output);
  Client client(std::move(*socket), context, output);
  int first = 0;
  for (const auto& line : lines) {
    const Ended ended = client.run(line);
    if (first == 0) first = ended.exitCode;
    if (ended.stops || ended.exitCode == exitCode(ErrorCode::interrupted)) break;
  }
  return first;
}

}  // namespace espalier::command
