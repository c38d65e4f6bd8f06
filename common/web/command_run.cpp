#include "common/web/command_run.h"

#include <poll.h>

#include <mutex>
#include <ostream>
#include <thread>
#include <utility>

#include "common/base/limits.h"
#include "common/base/thread.h"
#include "common/base/wake_up.h"
#include "common/command/outcome.h"

namespace espalier::web {
namespace {

using command::Json;

// Interrupts a command whose client has gone.
class Watch {
 public:
  explicit Watch(const BoundedSocketImpl& socket) : socket_(socket) {}
  ~Watch() {
    done_.wake();
    if (thread_.joinable()) thread_.join();
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  Result<void> start() {
    return startThread(thread_, [this] {
      pollfd waiting[] = {{socket_.descriptor(), POLLRDHUP, 0}, {done_.descriptor(), POLLIN, 0}};
      while (::poll(waiting, 2, -1) < 0) {
      }
      if (waiting[0].revents != 0) stop_.request_stop();
    });
  }
  void interrupt() { stop_.request_stop(); }
  std::stop_token token() const { return stop_.get_token(); }

 private:
  const BoundedSocketImpl& socket_;
  WakeUp done_;
  std::stop_source stop_;
  std::jthread thread_;
};

}  // namespace

void runCommand(Served& served, BoundedSocketImpl& socket, const std::string& line, bool isStream,
                Poco::Net::HTTPServerResponse& response) {
  Watch watch(socket);
  if (const auto started = watch.start(); !started) {
    response.setStatusAndReason(Poco::Net::HTTPResponse::HTTP_SERVICE_UNAVAILABLE);
    response.sendBuffer("busy\n", 5);
    return;
  }
  const std::stop_callback whenStopped(served.stop, [&] { watch.interrupt(); });
  response.setChunkedTransferEncoding(true);
  response.setContentType(isStream ? "application/x-ndjson" : "application/json; charset=utf-8");
  command::Context context;
  context.stop = watch.token();
  context.json = true;
  std::ostream* out = nullptr;
  std::mutex writing;  // a command may tell its progress from several threads
  TimePoint told{};
  const auto tell = [&](const Json& message) {
    const std::lock_guard lock(writing);
    if (*out) *out << lineOf(message) << "\n" << std::flush;
  };
  if (isStream) {
    out = &response.send();
    context.event = [&](const Json& event) { tell({{"event", event}}); };
    context.say = [&](const std::string& text) { tell({{"say", text}}); };
    context.progress = [&](const command::Progress& progress) {
      {
        const std::lock_guard lock(writing);
        const auto now = Clock::now();
        if (progress.name.empty() || now - told < limits::kProgressInterval) return;
        told = now;
      }
      tell({{"progress",
             {{"name", progress.name}, {"done", progress.done}, {"total", progress.total}}}});
    };
  }
  const auto outcome = served.dispatcher.runLine(line, context);
  if (!isStream) out = &response.send();
  if (isStream) *out << "{\"outcome\":";
  const auto write = [&](std::string_view piece) {
    out->write(piece.data(), static_cast<std::streamsize>(piece.size()));
  };
  if (outcome.isEmpty()) {
    write("{}");
  } else {
    outcome.writeJson(write);
  }
  if (isStream) *out << ",\"exit\":" << outcome.exitCode() << "}";
  *out << "\n" << std::flush;
}

}  // namespace espalier::web
