#include "common/web/source.h"

#include <fmt/format.h>

#include <cstddef>
#include <iterator>
#include <utility>

namespace espalier::web {
namespace {

const char* nameOf(Metric::Kind kind) {
  switch (kind) {
    case Metric::Kind::counter:
      return "counter";
    case Metric::Kind::histogram:
      return "histogram";
    case Metric::Kind::gauge:
      break;
  }
  return "gauge";
}

void append(std::string& text, const std::string& name, const Histogram& histogram) {
  auto out = std::back_inserter(text);
  for (std::size_t i = 0; i < Histogram::kBounds.size(); ++i) {
    fmt::format_to(out, "{}_bucket{{le=\"{}\"}} {}\n", name, Histogram::kBounds[i],
                   histogram.upTo(i));
  }
  fmt::format_to(out, "{0}_bucket{{le=\"+Inf\"}} {1}\n{0}_sum {2}\n{0}_count {1}\n", name,
                 histogram.count(), histogram.sumSeconds());
}

std::string fullName(std::string_view name) {
  return "espalier_" + std::string(name);
}

}  // namespace

Metric gauge(std::string_view name, std::string help, double value) {
  return {fullName(name), std::move(help), Metric::Kind::gauge, value};
}

Metric counter(std::string_view name, std::string help, double value) {
  return {fullName(name), std::move(help), Metric::Kind::counter, value};
}

Metric histogram(std::string_view name, std::string help, const Histogram& took) {
  return {fullName(name), std::move(help), Metric::Kind::histogram, 0, took};
}

std::string metricsText(const std::vector<Metric>& metrics) {
  std::string text;
  for (const auto& metric : metrics) {
    text += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", metric.name, metric.help,
                        nameOf(metric.kind));
    if (metric.kind == Metric::Kind::histogram) {
      append(text, metric.name, metric.histogram);
    } else {
      text += fmt::format("{} {}\n", metric.name, metric.value);
    }
  }
  return text;
}

}  // namespace espalier::web
