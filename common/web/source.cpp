#include "common/web/source.h"

#include <fmt/format.h>

namespace espalier::web {

std::string metricsText(const std::vector<Metric>& metrics) {
  std::string text;
  for (const auto& metric : metrics) {
    const auto* kind = metric.kind == Metric::Kind::counter ? "counter" : "gauge";
    text += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", metric.name, metric.help, kind,
                        metric.value);
  }
  return text;
}

}  // namespace espalier::web
