#include "common/wire/search_codec.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "common/wire/contact_codec.h"
#include "search.pb.h"

namespace espalier::wire {
namespace {

std::string raw(std::string_view bytes) {
  return std::string(bytes);
}

// --- out

void fill(const Query& query, proto::SearchQuery& out) {
  out.set_id(raw(query.id.view()));
  out.set_kind(static_cast<std::uint32_t>(query.kind));
  out.set_text(query.text);
  const auto most = std::chrono::milliseconds(limits::kSearchBudgetMost);
  const auto budget = std::clamp(query.budget, std::chrono::milliseconds(0), most);
  out.set_budget_ms(static_cast<std::uint32_t>(budget.count()));
  out.set_asker(query.asker.text());
  out.set_hops_left(query.hopsLeft);
  out.set_load(query.load);
}

void fillHits(const std::vector<Hit>& hits, proto::SearchAnswer& out) {
  std::map<std::pair<PeerId, Endpoint>, std::uint32_t> holders;
  for (const auto& hit : hits) {
    const auto next = static_cast<std::uint32_t>(holders.size());
    const auto [holder, isNew] = holders.try_emplace({hit.holder, hit.endpoint}, next);
    if (isNew) {
      auto& entry = *out.add_holders();
      entry.set_id(hit.holder.text());
      entry.set_host(hit.endpoint.host);
      entry.set_port(hit.endpoint.port);
    }
    auto& entry = *out.add_hits();
    entry.set_name(hit.name);
    entry.set_size_bytes(hit.sizeBytes);
    entry.set_root(raw(hit.root.view()));
    entry.set_holder(holder->second);
    entry.set_partial(hit.partial);
  }
}

void fill(const Answer& answer, proto::SearchAnswer& out) {
  out.set_id(raw(answer.id.view()));
  fillHits(answer.hits, out);
  fillOrderRanges(answer.coverage, *out.mutable_coverage());
  for (const auto& missing : answer.missing) {
    auto& entry = *out.add_missing();
    entry.set_id(missing.id.text());
    entry.set_order(number(missing.order));
    entry.set_below(missing.below);
  }
  for (const auto& peer : answer.indexing) out.add_indexing(peer.text());
  for (const auto& more : answer.more) {
    auto& entry = *out.add_more();
    entry.set_holder(more.holder.text());
    entry.set_hits(more.hits);
  }
  out.set_done(answer.done);
}

// --- in

Result<Query> read(const proto::SearchQuery& in) {
  Query query;
  const auto id = QueryId::fromRaw(in.id());
  if (!id) return id.error();
  query.id = *id;
  if (in.kind() < 1 || in.kind() > static_cast<std::uint32_t>(PatternKind::path)) {
    return malformed("a pattern of an unknown kind, " + std::to_string(in.kind()));
  }
  query.kind = static_cast<PatternKind>(in.kind());
  if (in.text().empty() || in.text().size() > limits::kPatternBytes) {
    return malformed("a pattern of " + std::to_string(in.text().size()) + " bytes");
  }
  query.text = in.text();
  query.budget = std::min(std::chrono::milliseconds(in.budget_ms()),
                          std::chrono::milliseconds(limits::kSearchBudgetMost));
  const auto asker = readPeerId(in.asker());
  if (!asker) return asker.error();
  query.asker = *asker;
  query.hopsLeft = in.hops_left();
  query.load = std::min(in.load(), kLoadMost);
  return query;
}

Result<void> readHits(const proto::SearchAnswer& in, std::vector<Hit>& out) {
  std::vector<std::pair<PeerId, Endpoint>> holders;
  for (const auto& entry : in.holders()) {
    const auto id = readPeerId(entry.id());
    if (!id) return id.error();
    if (!isHost(entry.host()) || entry.port() < 1 || entry.port() > 65535) {
      return malformed("a holder that listens nowhere");
    }
    holders.emplace_back(*id, Endpoint{entry.host(), static_cast<std::uint16_t>(entry.port())});
  }
  for (const auto& entry : in.hits()) {
    if (entry.holder() >= holders.size()) return malformed("a hit that nobody holds");
    if (entry.name().empty() || entry.name().size() > limits::kPathBytes) {
      return malformed("a name of " + std::to_string(entry.name().size()) + " bytes");
    }
    if (entry.name().find('\0') != std::string::npos) return malformed("a name with a zero byte");
    if (entry.size_bytes() > limits::kFileBytes) return malformed("a file beyond all sizes");
    const auto root = FileRoot::fromRaw(entry.root());
    if (!root) return root.error();
    const auto& [holder, endpoint] = holders[entry.holder()];
    out.push_back(Hit{entry.name(), entry.size_bytes(), *root, holder, endpoint, entry.partial()});
  }
  return {};
}

Result<void> readPeers(const proto::SearchAnswer& in, Answer& out) {
  for (const auto& entry : in.missing()) {
    const auto id = readPeerId(entry.id());
    if (!id) return id.error();
    if (entry.order() > limits::kJoinOrder || entry.below() > limits::kMembers) {
      return malformed("a missing peer beyond all numbers");
    }
    out.missing.push_back({*id, JoinOrder{entry.order()}, entry.below()});
  }
  for (const auto& entry : in.indexing()) {
    const auto id = readPeerId(entry);
    if (!id) return id.error();
    out.indexing.push_back(*id);
  }
  for (const auto& entry : in.more()) {
    const auto id = readPeerId(entry.holder());
    if (!id) return id.error();
    out.more.push_back({*id, entry.hits()});
  }
  return {};
}

Result<Answer> read(const proto::SearchAnswer& in) {
  Answer answer;
  const auto id = QueryId::fromRaw(in.id());
  if (!id) return id.error();
  answer.id = *id;
  if (auto hits = readHits(in, answer.hits); !hits) return hits.error();
  auto coverage = readOrderRanges(in.coverage(), limits::kCoverageRanges);
  if (!coverage) return coverage.error();
  answer.coverage = *std::move(coverage);
  if (auto peers = readPeers(in, answer); !peers) return peers.error();
  answer.done = in.done();
  return answer;
}

}  // namespace

void toProto(const SearchMessage& message, proto::Search& out) {
  if (const auto* query = std::get_if<Query>(&message)) {
    fill(*query, *out.mutable_query());
  } else if (const auto* answer = std::get_if<Answer>(&message)) {
    fill(*answer, *out.mutable_answer());
  } else {
    out.mutable_lost()->set_id(raw(std::get<Lost>(message).id.view()));
  }
}

Result<SearchMessage> fromProto(const proto::Search& in) {
  switch (in.body_case()) {
    case proto::Search::kQuery: {
      auto query = read(in.query());
      if (!query) return query.error();
      return SearchMessage(std::move(*query));
    }
    case proto::Search::kAnswer: {
      auto answer = read(in.answer());
      if (!answer) return answer.error();
      return SearchMessage(std::move(*answer));
    }
    case proto::Search::kLost: {
      const auto id = QueryId::fromRaw(in.lost().id());
      if (!id) return id.error();
      return SearchMessage(Lost{*id});
    }
    case proto::Search::BODY_NOT_SET:
      break;
  }
  return malformed("a message of an unknown kind");
}

std::string encodeSearch(const SearchMessage& message) {
  proto::Search out;
  toProto(message, out);
  return out.SerializeAsString();
}

Result<SearchMessage> decodeSearch(std::string_view payload) {
  proto::Search in;
  if (payload.size() > limits::kFrameBytes ||
      !in.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return malformed("not a message");
  }
  return fromProto(in);
}

}  // namespace espalier::wire
