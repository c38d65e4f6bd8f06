// What a program tells its page: one implementation in each program, which the server calls.
//
// Thread rule: the functions are called from threads of the server, several at a time. They may
// block for a moment, but never on the event loop for longer than a command would, and the loop
// never waits for them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/histogram.h"
#include "common/web/picture.h"

namespace espalier::web {

// A figure of /metrics. No label names a peer, a room or a file: their number has no bound.
struct Metric {
  enum class Kind { gauge, counter, histogram };
  std::string name;  // espalier_members
  std::string help;
  Kind kind = Kind::gauge;
  double value = 0;
  Histogram histogram = {};  // of the kind of that name, instead of the value
};

// With the prefix of all of them: the name is without `espalier_`.
Metric gauge(std::string_view name, std::string help, double value);
Metric counter(std::string_view name, std::string help, double value);
Metric histogram(std::string_view name, std::string help, const Histogram& took);

// In the text format of Prometheus.
std::string metricsText(const std::vector<Metric>& metrics);

class Source {
 public:
  virtual ~Source() = default;
  virtual Picture picture() = 0;
  virtual std::vector<Metric> metrics() = 0;
  // Nothing: the program does its work. Else a sentence without a full stop.
  virtual std::optional<std::string> whyNotReady() = 0;
};

}  // namespace espalier::web
