#include "peer/transfer/size_claims.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/limits.h"
#include "common/base/signals.h"
#include "common/base/thread.h"
#include "common/net/interrupter.h"
#include "common/wire/file_form.h"

namespace espalier::transfer {
namespace {

struct Asked {
  Holder holder;
  std::vector<std::uint64_t> claimed;
  std::optional<std::uint64_t> said;
  bool waits = false;  // it had no free slot, or may be dialled only later
};

void ask(const FileRoot& root, Asked& asked, DialTargets& dials, const Timeouts& timeouts,
         net::Interrupter& interrupter) {
  const auto may = dials.dial(asked.holder.endpoint, Clock::now());
  asked.waits = may == DialTargets::May::later;
  if (may != DialTargets::May::now) return;
  HolderConnection connection(asked.holder.endpoint, timeouts, interrupter);
  connection.onWaiting([&](std::uint32_t position) { asked.waits = asked.waits || position > 0; });
  connection.queue(wire::ChunkListRequest{root});
  if (auto opened = connection.open(); !opened) {
    asked.waits = connection.isBusy();
    if (opened.error().code != ErrorCode::interrupted && !asked.waits) {
      dials.dialledInVain(asked.holder.endpoint);
    }
    return;
  }
  dials.welcomed(asked.holder.endpoint);
  const auto answer = connection.receive(Duration::zero());
  const auto* list = answer ? std::get_if<wire::ChunkList>(&*answer) : nullptr;
  if (list != nullptr && wire::isPossibleFile(root, list->size)) asked.said = list->size;
}

// Each endpoint, once.
std::vector<Asked> endpointsOf(const std::vector<SizeClaim>& claims) {
  std::vector<Asked> endpoints;
  std::map<Endpoint, std::size_t> places;
  for (const auto& claim : claims) {
    for (const auto& holder : claim.holders) {
      const auto [place, isNew] = places.try_emplace(holder.endpoint, endpoints.size());
      if (isNew) endpoints.push_back({holder, {}, {}, false});
      endpoints[place->second].claimed.push_back(claim.size);
    }
  }
  if (endpoints.size() > limits::kFetchHolders) endpoints.resize(limits::kFetchHolders);
  return endpoints;
}

std::vector<SizeClaim> byEndpoints(std::vector<SizeClaim> claims) {
  const auto endpoints = [](const SizeClaim& claim) {
    std::set<Endpoint> seen;
    for (const auto& holder : claim.holders) seen.insert(holder.endpoint);
    return seen.size();
  };
  // Of equal ones the smallest first, because it costs the least.
  std::sort(claims.begin(), claims.end(), [&](const SizeClaim& a, const SizeClaim& b) {
    return std::pair(endpoints(b), a.size) < std::pair(endpoints(a), b.size);
  });
  return claims;
}

std::vector<SizeClaim> claimsOf(const std::map<std::uint64_t, std::vector<Holder>>& sizes) {
  std::vector<SizeClaim> claims;
  for (const auto& [size, holders] : sizes) claims.push_back({size, holders});
  return byEndpoints(std::move(claims));
}

}  // namespace

std::vector<SizeClaim> askSizes(const FileRoot& root, std::vector<SizeClaim> claims,
                                DialTargets& dials, const Timeouts& timeouts,
                                std::stop_token stop) {
  auto endpoints = endpointsOf(claims);
  net::Interrupter interrupter;
  const std::stop_callback onStop(std::move(stop), [&] { interrupter.interrupt(); });
  {
    std::atomic<std::size_t> next = 0;
    const auto askAll = [&] {
      const QuietSignals quiet;
      for (auto at = next++; at < endpoints.size() && !interrupter.interrupted(); at = next++) {
        ask(root, endpoints[at], dials, timeouts, interrupter);
      }
    };
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < std::min(endpoints.size(), limits::kFetchSources); ++i) {
      if (!startThread(threads, askAll)) break;
    }
    // When the system has no threads left, this one asks them all.
    if (threads.empty()) askAll();
  }
  std::map<std::uint64_t, std::vector<Holder>> said;
  std::map<std::uint64_t, std::vector<Holder>> waiting;
  for (const auto& asked : endpoints) {
    if (asked.said) {
      said[*asked.said].push_back(asked.holder);
    } else if (asked.waits) {
      for (const auto size : asked.claimed) waiting[size].push_back(asked.holder);
    }
  }
  if (said.empty() && waiting.empty()) return byEndpoints(std::move(claims));
  for (auto& [size, holders] : said) {
    const auto also = waiting.extract(size);
    if (also) holders.insert(holders.end(), also.mapped().begin(), also.mapped().end());
  }
  auto result = claimsOf(said);
  for (auto& claim : claimsOf(waiting)) result.push_back(std::move(claim));
  return result;
}

}  // namespace espalier::transfer
