// Tells the service manager that started this program how it is (sd_notify(3), by hand: a datagram
// to the socket that NOTIFY_SOCKET names).
//
//   made --ready()--> READY, with a status --destructor--> STOPPING
//
// With WATCHDOG_USEC the event loop itself says that it turns, twice in that time, by a timer that
// it watches: a loop that stands still is found and started again. Without a service manager
// nothing happens. A datagram that cannot be sent is lost, and nothing waits for it.
//
// Thread rule: made, told and destroyed on one thread; watch() before the loop runs or on its
// thread. The loop outlives it, or is past its end.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "common/base/file_descriptor.h"
#include "common/base/result.h"
#include "common/net/event_loop.h"

namespace espalier::net {

class ServiceManager {
 public:
  // As the environment says. Takes the names out of it, so that no child answers for this program.
  static ServiceManager ofEnvironment();
  // `socket`: a path, or an abstract name that begins with @; empty: there is none. `watchdog`: the
  // silence after which this program is started again; 0: never.
  ServiceManager(std::string socket, std::chrono::microseconds watchdog);
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;
  ~ServiceManager();

  // Begins the watchdog, if it is wanted.
  Result<void> watch(EventLoop& loop);
  // What systemctl shows: one line.
  void ready(std::string_view status);

 private:
  void send(std::string_view text) const;

  std::string name_;
  std::chrono::microseconds watchdog_;
  FileDescriptor socket_;
  FileDescriptor timer_;
};

}  // namespace espalier::net
