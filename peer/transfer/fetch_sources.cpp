#include "peer/transfer/fetch_sources.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "common/base/limits.h"

namespace espalier::transfer {
namespace {

constexpr std::size_t kProblemsNamed = 3;
constexpr int kTriesInVain = 2;
// A source that lied is cut only after its thread has heard it out and told it: kLieGrace each.
constexpr auto kLieCut = 3 * kLieGrace;

}  // namespace

bool FetchSources::add(const std::vector<Holder>& holders) {
  bool more = false;
  for (const auto& holder : holders) {
    const auto known =
        std::find_if(sources_.begin(), sources_.end(), [&](const FetchSource& source) {
          return source.holder.id == holder.id && source.holder.endpoint == holder.endpoint;
        });
    if (known == sources_.end()) {
      if (sources_.size() == limits::kFetchHolders) continue;
      sources_.emplace_back().holder = holder;
      toDial_.push_back(sources_.size() - 1);
    } else {
      if (!known->ended || known->lied || known->tries >= kTriesInVain) continue;
      known->ended = false;
      toDial_.push_back(static_cast<std::size_t>(known - sources_.begin()));
    }
    more = true;
  }
  return more;
}

std::optional<std::size_t> FetchSources::next() {
  if (toDial_.empty()) return std::nullopt;
  const std::size_t next = toDial_.front();
  toDial_.pop_front();
  return next;
}

SourceId FetchSources::beginConversation(std::size_t index) {
  FetchSource& source = sources_[index];
  source.dialled = true;
  source.id = SourceId{nextId_++};
  source.delivered = false;
  source.position = 0;
  ++source.tries;
  return source.id;
}

void FetchSources::end(std::size_t index, Error why) {
  FetchSource& source = sources_[index];
  source.ended = true;
  if (!source.changed || source.delivered || !source.problem) source.problem = std::move(why);
}

void FetchSources::cutLiars(TimePoint now) const {
  for (const auto& source : sources_) {
    if (source.lie && source.stream != nullptr && now - source.lieAt >= kLieCut) {
      source.stream->cut();
    }
  }
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
