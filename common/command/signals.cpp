#include "common/command/signals.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cassert>
#include <csignal>

#include "common/base/signals.h"

namespace espalier::command {

SignalWatch::SignalWatch(std::initializer_list<int> signals,
                         std::function<void(int signal)> onSignal) {
  const sigset_t set = signalsNotIgnored(signals);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_ = FileDescriptor(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  wake_ = FileDescriptor(::eventfd(0, EFD_CLOEXEC));
  assert(signals_ && wake_);
  thread_ = std::jthread([this, onSignal = std::move(onSignal)](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      pollfd waiting[] = {{signals_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
      ::poll(waiting, 2, -1);
      signalfd_siginfo info{};
      while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
        onSignal(static_cast<int>(info.ssi_signo));
      }
    }
  });
}

SignalWatch::~SignalWatch() {
  thread_.request_stop();
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
}

}  // namespace espalier::command
