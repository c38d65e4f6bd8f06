#include "common/command/signal_watch.h"

#include <poll.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cassert>
#include <csignal>

#include "common/base/log.h"
#include "common/base/signals.h"
#include "common/base/thread.h"

namespace espalier::command {

SignalWatch::SignalWatch(std::initializer_list<int> signals,
                         std::function<void(int signal)> onSignal) {
  const sigset_t set = signalsNotIgnored(signals);
  sigset_t before;
  ::pthread_sigmask(SIG_BLOCK, &set, &before);
  signals_ = FileDescriptor(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  assert(signals_ && ending_);
  const auto watch = [this, onSignal = std::move(onSignal)](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      pollfd waiting[] = {{signals_.get(), POLLIN, 0}, {ending_.descriptor(), POLLIN, 0}};
      ::poll(waiting, 2, -1);
      signalfd_siginfo info{};
      while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
        onSignal(static_cast<int>(info.ssi_signo));
      }
    }
  };
  if (const auto started = startThread(thread_, watch); !started) {
    log::debug("signals are not watched: {}", started.error().message);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
}

SignalWatch::~SignalWatch() {
  thread_.request_stop();
  ending_.wake();
}

}  // namespace espalier::command
