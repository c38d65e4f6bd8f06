#include "common/base/signals.h"

namespace espalier {

sigset_t signalsNotIgnored(std::initializer_list<int> signals) {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : signals) {
    struct sigaction action {};
    const bool known = ::sigaction(signal, nullptr, &action) == 0;
    if (known && action.sa_handler != SIG_IGN) ::sigaddset(&set, signal);
  }
  return set;
}

QuietSignals::QuietSignals() {
  sigset_t quiet;
  ::sigemptyset(&quiet);
  ::sigaddset(&quiet, SIGPIPE);
  ::sigaddset(&quiet, SIGXFSZ);
  ::pthread_sigmask(SIG_BLOCK, &quiet, nullptr);
}

}  // namespace espalier
