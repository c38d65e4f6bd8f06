#include "peer/core/coverage.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <set>

#include "common/base/limits.h"

using namespace espalier;
using namespace espalier::peer;

namespace {

std::set<std::uint64_t> ordersOf(const Coverage& coverage) {
  std::set<std::uint64_t> result;
  for (const auto& range : coverage.ranges()) {
    for (auto order = range.first; order <= range.last; ++order) result.insert(order);
  }
  return result;
}

bool isTidy(const Coverage& coverage) {
  const auto& ranges = coverage.ranges();
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].first <= ranges[i - 1].last + 1) return false;
  }
  return std::all_of(ranges.begin(), ranges.end(), Coverage::isPlausible);
}

}  // namespace

TEST_CASE("beyond is who is not known, and cannot have joined later") {
  const std::uint64_t prefix = std::uint64_t{3} << kRunningBits;
  Coverage known;
  known.add({1, 4});
  known.add({prefix + 1, prefix + 2});
  Coverage answered;
  answered.add({3, 6});                    // 5 and 6: given before the newest one
  answered.add({prefix + 2, prefix + 9});  // from 3 on later, in the prefix of the newest one
  answered.add({2 * prefix + 1, 2 * prefix + 5});  // of another prefix
  CHECK(answered.sizeWithin(known) == 3);
  CHECK(answered.sizeBeyond(known, JoinOrder{prefix + 2}) == 2 + 5);
}

TEST_CASE("no peer is counted twice, however ranges overlap") {
  Coverage coverage;
  CHECK(coverage.add({1, 5}) == 5);
  CHECK(coverage.add({3, 8}) == 3);
  CHECK(coverage.add({1, 8}) == 0);
  CHECK(coverage.add(JoinOrder{9}) == 1);
  CHECK(coverage.size() == 9);
  CHECK(coverage.ranges() == std::vector<wire::OrderRange>{{1, 9}});
  CHECK(coverage.sizeUpTo(JoinOrder{4}) == 4);
}

TEST_CASE("join orders that no peer can have are ignored") {
  Coverage coverage;
  CHECK(coverage.add(kNoOrder) == 0);
  CHECK(coverage.add({5, 4}) == 0);
  CHECK(coverage.add({1, ~0ull}) == 0);
  CHECK(coverage.add({~0ull, ~0ull}) == 0);
  CHECK(coverage.add({1, limits::kMembers + 1}) == 0);
  CHECK(coverage.add({limits::kJoinOrder, limits::kJoinOrder}) == 1);
  CHECK(coverage.size() == 1);
}

TEST_CASE("a set never holds more than a network, nor more ranges than the limit") {
  Coverage many;
  CHECK(many.add({1, limits::kMembers}) == limits::kMembers);
  CHECK(many.add({2 * limits::kMembers, 2 * limits::kMembers}) == 0);
  Coverage scattered;
  for (std::uint64_t i = 1; i <= limits::kCoverageRangesKept + 10; ++i) {
    scattered.add(JoinOrder{2 * i});
  }
  CHECK(scattered.ranges().size() == limits::kCoverageRangesKept);
  CHECK(scattered.add(JoinOrder{3}) == 1);  // joins two, so that there is room again
  CHECK(scattered.ranges().size() == limits::kCoverageRangesKept - 1);
}

TEST_CASE("coverage is a set: it does what std::set does") {
  CHECK(rc::check([] {
    using Ranges = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
    const auto order = rc::gen::inRange<std::uint64_t>(1, 60);
    const auto length = rc::gen::inRange<std::uint64_t>(0, 6);
    const auto generate = rc::gen::container<Ranges>(rc::gen::pair(order, length));
    Coverage a;
    Coverage b;
    std::set<std::uint64_t> modelA;
    std::set<std::uint64_t> modelB;
    const auto fill = [](const Ranges& ranges, Coverage& coverage, std::set<std::uint64_t>& model) {
      for (const auto& [first, more] : ranges) {
        const auto before = model.size();
        for (auto i = first; i <= first + more; ++i) model.insert(i);
        RC_ASSERT(coverage.add({first, first + more}) == model.size() - before);
      }
    };
    fill(*generate, a, modelA);
    fill(*generate, b, modelB);
    RC_ASSERT(ordersOf(a) == modelA);
    RC_ASSERT(a.size() == modelA.size());
    for (std::uint64_t i = 0; i < 70; ++i) {
      RC_ASSERT(a.contains(JoinOrder{i}) == modelA.contains(i));
    }
    std::set<std::uint64_t> rest;
    std::set_difference(modelA.begin(), modelA.end(), modelB.begin(), modelB.end(),
                        std::inserter(rest, rest.end()));
    RC_ASSERT(ordersOf(a.minus(b)) == rest);
    RC_ASSERT(a.minus(b).size() == rest.size());
    RC_ASSERT(a.sizeWithin(b) == modelA.size() - rest.size());
    RC_ASSERT(a.sizeBeyond(b, kNoOrder) == 0);  // all may be later than that
    a.add(b);
    modelA.insert(modelB.begin(), modelB.end());
    RC_ASSERT(ordersOf(a) == modelA);
    RC_ASSERT(isTidy(a));
    RC_ASSERT(isTidy(a.minus(b)));
    for (const auto taken : *rc::gen::container<std::vector<std::uint64_t>>(order)) {
      a.remove(JoinOrder{taken});
      modelA.erase(taken);
      RC_ASSERT(ordersOf(a) == modelA);
      RC_ASSERT(a.size() == modelA.size());
      RC_ASSERT(isTidy(a));
    }
  }));
}
