// Lines of the log that others cause: their bound, and what is told of those left out.
#include "common/base/log.h"
#include "common/base/log_history.h"

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "common/base/budget.h"
#include "common/base/limits.h"

using namespace espalier;
using namespace std::chrono_literals;

namespace {

// The log's lines, under bounds of `payer` and `process` lines.
struct Log {
  std::vector<std::string> lines;

  Log(double payer, double process) {
    auto rates = limits::kRateBounds;
    rates[static_cast<std::size_t>(limits::Rate::logLines)] = {0, payer, 0, process};
    log::useBudget(std::make_shared<Budget>(limits::kHeldBounds, rates));
    log::setSink(
        [](std::string_view line, void* context) {
          static_cast<std::vector<std::string>*>(context)->emplace_back(line);
        },
        &lines);
  }
  ~Log() {
    log::setSink(nullptr, nullptr);
    log::useBudget(nullptr);
    log::setLevel(log::Level::info);
  }
};

const Payer kFlooder = Payer::host("192.0.2.1");
const Payer kOther = Payer::host("192.0.2.2");

TEST_CASE("lines about one payer are bounded, and lines about another one are still written") {
  Log out(3, 40);
  for (int i = 0; i < 100; ++i) log::warning(kFlooder, "noise {}", i);
  CHECK(out.lines.size() == 3);
  log::info(kOther, "hello");
  CHECK(out.lines.size() == 4);
  log::info("about this program");
  CHECK(out.lines.size() == 5);
}

TEST_CASE("all lines that others cause have one bound, of which a part is kept for warnings") {
  Log out(3, 19);
  for (int i = 0; i < 100; ++i) {
    log::info(Payer::host("192.0." + std::to_string(i) + ".1"), "noise");
  }
  CHECK(out.lines.size() == 10);
  for (int i = 0; i < 100; ++i) {
    log::warning(Payer::host("192.0." + std::to_string(i) + ".2"), "noise");
  }
  CHECK(out.lines.size() == 19);
}

TEST_CASE("one line tells how many were left out") {
  Log out(2, 40);
  CHECK(log::tellDue() == kNever);
  for (int i = 0; i < 1002; ++i) log::warning(kFlooder, "noise");
  const TimePoint due = log::tellDue();
  CHECK(due <= Clock::now() + limits::kLeftOutLines);
  log::tellLeftOut(due - 1ms);
  CHECK(out.lines.size() == 2);
  log::tellLeftOut(due);
  REQUIRE(out.lines.size() == 3);
  CHECK(out.lines[2].find("warning 1000 lines like these left out, the last about 192.0.2.1") !=
        std::string::npos);
  CHECK(log::tellDue() == kNever);
}

TEST_CASE("lines below the level are not counted, and at level debug more are allowed") {
  Log out(2, 100);
  for (int i = 0; i < 10; ++i) log::debug(kFlooder, "noise");
  CHECK(log::tellDue() == kNever);
  log::setLevel(log::Level::debug);
  for (int i = 0; i < 100; ++i) log::debug(kFlooder, "noise");
  CHECK(out.lines.size() == 16);
  log::tellLeftOut(log::tellDue());
}

TEST_CASE("the last lines are kept for the page, cut where they are long") {
  Log out(2, 40);
  log::info("before anybody wanted them");
  CHECK(log::history(0).empty());
  log::keepHistory();
  log::info("first");
  log::info("{}", std::string(2 * limits::kLogLineKeptBytes, 'x'));
  auto lines = log::history(0);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].number == 1);
  CHECK(lines[0].text.ends_with("first"));
  CHECK(lines[1].text.size() == limits::kLogLineKeptBytes);
  for (std::size_t i = 0; i < limits::kLogLinesKept; ++i) log::info("line {}", i);
  lines = log::history(0);
  REQUIRE(lines.size() == limits::kLogLinesKept);
  CHECK(lines.front().text.ends_with("line 0"));
  CHECK(lines.back().number == limits::kLogLinesKept + 2);
  CHECK(log::history(lines.back().number).empty());
  CHECK(log::history(lines.back().number - 1).size() == 1);
}

}  // namespace
