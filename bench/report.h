// Prints the result of a benchmark: a table on standard error for people, one line of JSON on
// standard output for scripts.
//
// All rows have the same keys, the heads of the table's columns. A target has a value, a bound, and
// whether it was met. The load of the machine before and after is printed, too: a busy machine
// makes the figures worthless.
//
// Not thread-safe. A benchmark makes one Report, adds rows, notes and targets, and calls print().
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace espalier::bench {

using Json = nlohmann::ordered_json;

inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

// To four digits, which is more than a measurement is good for.
inline double rounded(double value) {
  return std::strtod(fmt::format("{:.4g}", value).c_str(), nullptr);
}

inline double loadNow() {
  double load = 0;
  return ::getloadavg(&load, 1) == 1 ? rounded(load) : 0;
}

class Report {
 public:
  explicit Report(std::string_view name) {
    result_["bench"] = name;
    result_["load_before"] = loadNow();
    result_["rows"] = Json::array();
    result_["targets"] = Json::array();
  }

  void note(const std::string& key, Json value) { result_[key] = std::move(value); }
  void row(Json row) { result_["rows"].push_back(std::move(row)); }
  void atLeast(std::string_view what, double value, double bound) {
    target(what, value, "at least", bound, value >= bound);
  }
  void atMost(std::string_view what, double value, double bound) {
    target(what, value, "at most", bound, value <= bound);
  }

  void print() {
    result_["load_after"] = loadNow();
    printTable();
    for (const auto& one : result_["targets"]) {
      fmt::print(stderr, "{:<7} {}: {} ({} {})\n", one["met"].get<bool>() ? "met" : "MISSED",
                 one["what"].get<std::string>(), one["value"].dump(),
                 one["wanted"].get<std::string>(), one["bound"].dump());
    }
    fmt::print(stderr, "load average {} before, {} after\n", result_["load_before"].dump(),
               result_["load_after"].dump());
    fmt::print("{}\n", result_.dump());
  }

 private:
  void target(std::string_view what, double value, std::string_view wanted, double bound,
              bool met) {
    result_["targets"].push_back({{"what", what},
                                  {"value", rounded(value)},
                                  {"wanted", wanted},
                                  {"bound", bound},
                                  {"met", met}});
  }

  static std::string cell(const Json& value) {
    if (value.is_string()) return value.get<std::string>();
    return value.dump();
  }

  void printTable() const {
    const auto& rows = result_["rows"];
    if (rows.empty()) return;
    std::vector<std::pair<std::string, std::size_t>> columns;
    for (const auto& [key, value] : rows.front().items()) columns.emplace_back(key, key.size());
    for (auto& [key, width] : columns) {
      for (const auto& one : rows) width = std::max(width, cell(one.value(key, Json())).size());
    }
    for (const auto& [key, width] : columns) fmt::print(stderr, "{:>{}}  ", key, width);
    fmt::print(stderr, "\n");
    for (const auto& one : rows) {
      for (const auto& [key, width] : columns) {
        fmt::print(stderr, "{:>{}}  ", cell(one.value(key, Json())), width);
      }
      fmt::print(stderr, "\n");
    }
  }

  Json result_;
};

}  // namespace espalier::bench
