#include "peer/transfer/fetch_sources.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "common/base/limits.h"
#include "peer/transfer/rate_limit.h"

namespace espalier::transfer {
namespace {

constexpr std::size_t kProblemsNamed = 3;
constexpr int kTriesInVain = 2;
constexpr unsigned kTriesBusy = 5;
constexpr auto kBusyPause = std::chrono::seconds(1);  // doubles
constexpr auto kReplacePause = std::chrono::seconds(1);
constexpr std::size_t kSourcesMost = 8 * limits::kFetchHolders;
// A source that lied is cut only after its thread has heard it out and told it: kLieGrace each.
constexpr auto kLieCut = 3 * kLieGrace;

}  // namespace

bool FetchSources::add(const std::vector<Holder>& holders) {
  bool more = false;
  for (const auto& holder : holders) {
    const auto known = std::find_if(
        sources_.begin(), sources_.end(),
        [&](const FetchSource& source) { return source.holder.endpoint == holder.endpoint; });
    if (known == sources_.end()) {
      const auto ended = static_cast<std::size_t>(
          std::count_if(sources_.begin(), sources_.end(),
                        [](const FetchSource& source) { return source.ended; }));
      if (sources_.size() - ended >= limits::kFetchHolders || sources_.size() >= kSourcesMost) {
        continue;
      }
      sources_.emplace_back().holder = holder;
      toDial_.push_back(sources_.size() - 1);
    } else {
      // A holder of a part is asked which, so a false claim that it is one costs little.
      if (known->stream == nullptr) known->holder.partial |= holder.partial;
      if (!known->ended || known->lied || known->tries >= kTriesInVain) continue;
      known->ended = false;
      known->replaced = false;
      toDial_.push_back(static_cast<std::size_t>(known - sources_.begin()));
    }
    more = true;
  }
  return more;
}

std::optional<std::size_t> FetchSources::next(TimePoint now) {
  for (auto place = toDial_.begin(); place != toDial_.end();) {
    const std::size_t next = *place;
    FetchSource& source = sources_[next];
    const auto may = source.notBefore > now ? DialTargets::May::later
                                            : targets_->dial(source.holder.endpoint, now);
    if (may == DialTargets::May::later) {
      ++place;
      continue;
    }
    place = toDial_.erase(place);
    if (may == DialTargets::May::now) return next;
    source.ended = true;
    if (!source.problem) {
      source.problem = Error{ErrorCode::io, fmt::format("{} was not dialled: no peer is there",
                                                        source.holder.endpoint.text())};
    }
  }
  return std::nullopt;
}

SourceId FetchSources::beginConversation(std::size_t index) {
  FetchSource& source = sources_[index];
  source.dialled = true;
  source.id = SourceId{nextId_++};
  source.delivered = false;
  source.isBusy = false;
  source.position = 0;
  ++source.tries;
  return source.id;
}

void FetchSources::connected(std::size_t index, const net::BlockingStream& stream, TimePoint now) {
  FetchSource& source = sources_[index];
  source.stream = &stream;
  source.connectedAt = now;
  source.busy = 0;
  targets_->welcomed(source.holder.endpoint);
}

void FetchSources::disconnected(std::size_t index, bool inVain) {
  FetchSource& source = sources_[index];
  if (inVain) targets_->dialledInVain(source.holder.endpoint);
  source.stream = nullptr;
}

void FetchSources::end(std::size_t index, Error why, TimePoint now) {
  FetchSource& source = sources_[index];
  if (source.isBusy && ++source.busy < kTriesBusy) {
    --source.tries;
    source.notBefore = now + kBusyPause * (1u << (source.busy - 1));
    toDial_.push_back(index);
  } else {
    source.ended = true;
  }
  if (!source.changed || source.delivered || !source.problem) source.problem = std::move(why);
}

void FetchSources::cutLiars(TimePoint now) const {
  for (const auto& source : sources_) {
    if (source.lie && source.stream != nullptr && now - source.lieAt >= kLieCut) {
      source.stream->cut();
    }
  }
}

void FetchSources::replaceSlowest(TimePoint now, std::uint64_t limit) {
  const bool anyNow = std::any_of(toDial_.begin(), toDial_.end(), [&](std::size_t index) {
    const FetchSource& source = sources_[index];
    return source.notBefore <= now &&
           targets_->mayDial(source.holder.endpoint, now) == DialTargets::May::now;
  });
  if (!anyNow) return;
  FetchSource* slowest = nullptr;
  double all = 0;
  double least = static_cast<double>(limits::kFetchRateReplaced);
  // Half of what a source gets if all threads share the limit.
  constexpr double kShares = 2 * limits::kFetchSources;
  if (limit != RateLimit::kNone) least = std::min(least, static_cast<double>(limit) / kShares);
  for (auto& source : sources_) {
    if (source.stream == nullptr || source.replaced) continue;
    const std::chrono::duration<double> seconds(now - source.connectedAt);
    if (seconds < limits::kFetchReplacedAfter) continue;
    const double rate = static_cast<double>(source.stream->receivedBytes()) / seconds.count();
    all += rate;
    if (rate >= least) continue;
    slowest = &source;
    least = rate;
  }
  if (slowest == nullptr) return;
  const bool isLineBusy = all >= static_cast<double>(limits::kFetchRateReplaced);
  if (isLineBusy && now - replacedAt_ < kReplacePause) return;
  replacedAt_ = now;
  slowest->replaced = true;
  slowest->stream->cut();
}

std::vector<FetchProgress::Source> FetchSources::connected(
    const std::function<double(SourceId)>& rate) const {
  std::vector<FetchProgress::Source> result;
  for (const auto& source : sources_) {
    if (source.stream == nullptr) continue;
    result.push_back({source.holder.id, source.bytes, rate(source.id), source.position});
  }
  return result;
}

std::vector<SourceReport> FetchSources::reports() const {
  std::vector<SourceReport> reports;
  for (const auto& source : sources_) {
    if (source.dialled) reports.push_back({source.holder.id, source.bytes, source.problem});
  }
  return reports;
}

std::optional<Error> FetchSources::problems() const {
  std::optional<Error> error;
  std::vector<std::string> problems;
  for (const auto& source : sources_) {
    if (!source.problem) continue;
    error = Error{source.problem->code, {}};
    if (problems.size() < kProblemsNamed) {
      problems.push_back(fmt::format("{}: {}", source.holder.id.text(), source.problem->message));
    }
  }
  if (!error) return error;
  error->message = fmt::format("{}", fmt::join(problems, "; "));
  if (sources_.size() > kProblemsNamed) error->message += "; …";
  return error;
}

}  // namespace espalier::transfer
