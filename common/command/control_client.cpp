#include "common/command/control_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "common/base/limits.h"
#include "common/base/state_folder.h"
#include "common/base/text.h"
#include "common/base/wake_up.h"
#include "common/command/control_channel.h"
#include "common/command/liveness.h"
#include "common/command/printing.h"
#include "common/command/state_claim.h"
#include "common/command/words.h"

namespace espalier::command {
namespace {

using namespace std::chrono_literals;

constexpr auto kLook = 100ms;  // between two checks for which there is no descriptor

std::string doesNotAnswer(const RunningProgram& program) {
  return program.name + " that runs on " + escaped(program.stateDir) +
         " does not answer: it may be stopped";
}

// The end of one command.
struct Ended {
  int exitCode = 0;
  bool stops = false;
};

// Prints an error as the command itself would have.
Ended fail(const Error& error, const std::string& line, const Context& context,
           const Output& output) {
  if (context.json) {
    output.out(jsonLine(Outcome::failed(commandOf(line), error).json()));
  } else {
    output.err(printable(error.message) + "\n");
  }
  return {exitCode(error.code), true};
}

std::string member(const Json& message, const char* name) {
  return getBytes(message, name).value_or("");
}

std::uint64_t number(const Json& message, const char* name) {
  return message.contains(name) && message[name].is_number_unsigned()
             ? message[name].get<std::uint64_t>()
             : 0;
}

class Client {
 public:
  Client(FileDescriptor socket, int folder, const RunningProgram& program, Context& context,
         const Output& output)
      : socket_(std::move(socket)),
        program_(program),
        context_(context),
        output_(output),
        liveness_(folder, {program.probe, program.patience}),
        onStop_(context.stop, [this] { cancelled_.wake(); }) {
    // A stopped program takes only what fits into the socket's buffer.
    const auto whole = std::chrono::floor<std::chrono::seconds>(program.patience);
    const timeval patience{std::max<std::int64_t>(whole.count(), 1), 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  }

  Ended run(const std::string& line) {
    line_ = line;
    out_.clear();
    err_.clear();
    // Goes on if this fails: a server that refused the connection has sent the reason.
    sendLine(socket_.get(), request());
    liveness_.heard();
    TimePoint giveUp = kNever;
    while (true) {
      while (auto message = reader_.next()) {
        if (const auto end = take(*message)) return *end;
        liveness_.heard();
      }
      if (ended_) return lost();
      if (Clock::now() >= giveUp) return interrupted();
      if (context_.stop.stop_requested() && giveUp == kNever) {
        giveUp = Clock::now() + limits::kControlGrace;
        sendLine(socket_.get(), {{"cancel", true}});
      }
      if (!liveness_.look()) return silent();
      wait(giveUp != kNever);
    }
  }

 private:
  Json request() const {
    Json request;
    putBytes(request, "run", line_);
    request["json"] = context_.json;
    request["progress"] = static_cast<bool>(context_.progress);
    request["ask"] = static_cast<bool>(context_.ask);
    putBytes(request, "directory", context_.directory);
    request["home"] = nullptr;
    if (context_.home) putBytes(request, "home", *context_.home);
    return request;
  }

  void wait(bool cancelled) {
    pollfd waiting[] = {{socket_.get(), POLLIN, 0},
                        {liveness_.descriptor(), POLLIN, 0},
                        {cancelled_.descriptor(), POLLIN, 0}};
    const auto pause =
        std::chrono::ceil<std::chrono::milliseconds>(liveness_.pause(cancelled ? kLook : 1h));
    // The last one stays readable after a cancellation.
    ::poll(waiting, cancelled ? 2 : 3, static_cast<int>(pause.count()));
    if (waiting[0].revents != 0) {
      ended_ = reader_.receive(socket_.get()) == LineReader::State::ended;
    }
  }

  // Output is kept until the command's end, see the header.
  std::optional<Ended> take(const Json& message) {
    if (message.contains("exit") && message["exit"].is_number_integer()) {
      return finish(message["exit"].get<int>() & 0xFF, message.value("stops", Json()) == true);
    }
    out_ += member(message, "out");
    err_ += member(message, "err");
    if (message.contains("event") && context_.event) context_.event(message["event"]);
    if (message.contains("say") && context_.say) context_.say(member(message, "say"));
    if (message.contains("progress") && context_.progress) showProgress(message["progress"]);
    if (message.contains("ask")) {
      const auto answer = context_.ask ? context_.ask(member(message, "ask")) : std::nullopt;
      sendLine(socket_.get(), {{"answer", answer ? Json(*answer) : Json(nullptr)}});
    }
    return std::nullopt;
  }

  Ended finish(int exitCode, bool stops) {
    if (context_.json && out_.empty() && !err_.empty()) {  // the server refused the connection
      while (err_.ends_with('\n')) err_.pop_back();
      fail({errorCodeFromWire(static_cast<unsigned>(exitCode)), err_}, line_, context_, output_);
    } else {
      if (!out_.empty()) output_.out(context_.json ? escapedJson(out_) : printable(out_));
      if (!err_.empty()) output_.err(printable(err_));
    }
    return {exitCode, stops};
  }

  void showProgress(const Json& data) {
    Progress progress;
    if (data.is_object()) {
      progress.name = member(data, "name");
      progress.done = number(data, "done");
      progress.total = number(data, "total");
      progress.detail = member(data, "detail");
      const auto unit = member(data, "unit");
      progress.unit = unit == "items" ? Unit::items : unit == "none" ? Unit::none : Unit::bytes;
    }
    context_.progress(progress);
  }

  Ended end(ErrorCode code, const std::string& message) {
    if (context_.progress) context_.progress({});
    return fail({code, message}, line_, context_, output_);
  }
  Ended lost() { return end(ErrorCode::io, program_.name + " ended while the command ran"); }
  Ended interrupted() { return end(ErrorCode::interrupted, "interrupted"); }
  Ended silent() { return end(ErrorCode::timeout, doesNotAnswer(program_)); }

  FileDescriptor socket_;
  const RunningProgram& program_;
  Context& context_;
  const Output& output_;
  std::string line_;
  std::string out_;  // without a bound: the server runs as this user
  std::string err_;
  LineReader reader_;
  bool ended_ = false;
  Liveness liveness_;
  WakeUp cancelled_;
  std::stop_callback<std::function<void()>> onStop_;
};

}  // namespace

std::optional<int> runInRunning(const RunningProgram& program,
                                const std::vector<std::string>& lines, Context& context,
                                const Output& output) {
  const std::string first = lines.empty() ? "" : lines.front();
  const auto refuse = [&](const Error& error) {
    return fail(error, first, context, output).exitCode;
  };
  awaitState(program.stateDir, context.stop);
  // Before anything is sent: the folder of another user may hold that user's socket.
  const auto folder = findStateFolder(program.stateDir);
  if (!folder && folder.error().code == ErrorCode::failed) return std::nullopt;
  if (!folder) return refuse(folder.error());
  auto socket = connectPatiently(folder->get(), program.patience, context.stop);
  if (!socket && socket.error().code == ErrorCode::unavailable) return std::nullopt;
  if (!socket && socket.error().code == ErrorCode::timeout) {
    return refuse({ErrorCode::timeout, doesNotAnswer(program)});
  }
  if (!socket) return refuse(socket.error());
  Client client(std::move(*socket), folder->get(), program, context, output);
  FirstFailure failures;
  for (const auto& line : lines) {
    const Ended ended = client.run(line);
    failures.add(ended.exitCode);
    if (ended.stops || ended.exitCode == exitCode(ErrorCode::interrupted)) break;
    if (output.failure && output.failure()) break;
  }
  return endOutput(output, failures.code());
}

}  // namespace espalier::command
