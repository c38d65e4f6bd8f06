#include "metaserver/etcd/json.h"

#include <Poco/Base64Decoder.h>
#include <Poco/Base64Encoder.h>
#include <Poco/Exception.h>
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier::metaserver::etcd {
namespace {

using cluster::Candidate;
using nlohmann::json;
namespace messages = cluster::etcd;

constexpr std::size_t kShown = 80;  // of what is no JSON

std::string base64(std::string_view raw) {
  std::ostringstream out;
  Poco::Base64Encoder encoder(out);
  encoder.rdbuf()->setLineLength(0);
  encoder.write(raw.data(), static_cast<std::streamsize>(raw.size()));
  encoder.close();
  return out.str();
}

// Reading throws this; the public functions turn it into a result.
struct Malformed {
  std::string what;
};

std::string fromBase64(const std::string& text) {
  std::istringstream in(text);
  Poco::Base64Decoder decoder(in);
  decoder.exceptions(std::ios::badbit);
  std::string raw(text.size(), '\0');
  try {
    decoder.read(raw.data(), static_cast<std::streamsize>(raw.size()));
  } catch (const std::exception&) {
    throw Malformed{"a key or value is not base64"};
  }
  raw.resize(static_cast<std::size_t>(decoder.gcount()));
  return raw;
}

const json* field(const json& object, const char* name) {
  if (!object.is_object()) throw Malformed{fmt::format("no object around \"{}\"", name)};
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

// 64-bit numbers are strings; newer versions have some of them as numbers.
std::int64_t numberAt(const json& object, const char* name) {
  const json* there = field(object, name);
  if (!there) return 0;
  if (there->is_number_integer()) return there->get<std::int64_t>();
  std::int64_t number = 0;
  if (const auto* text = there->get_ptr<const std::string*>()) {
    const auto [rest, code] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (code == std::errc{} && rest == text->data() + text->size()) return number;
  }
  throw Malformed{fmt::format("\"{}\" is no number", name)};
}

std::string bytesAt(const json& object, const char* name) {
  const json* there = field(object, name);
  if (!there) return {};
  const auto* text = there->get_ptr<const std::string*>();
  if (!text) throw Malformed{fmt::format("\"{}\" is no string", name)};
  return fromBase64(*text);
}

bool flagAt(const json& object, const char* name) {
  const json* there = field(object, name);
  return there && there->is_boolean() && there->get<bool>();
}

// Nothing where the field is left out.
const json& listAt(const json& object, const char* name) {
  static const json kNone = json::array();
  const json* there = field(object, name);
  if (!there) return kNone;
  if (!there->is_array()) throw Malformed{fmt::format("\"{}\" is no list", name)};
  return *there;
}

const json& objectAt(const json& object, const char* name) {
  const json* there = field(object, name);
  if (!there || !there->is_object()) throw Malformed{fmt::format("no \"{}\"", name)};
  return *there;
}

messages::Revision revisionOf(const json& answer) {
  const auto revision = numberAt(objectAt(answer, "header"), "revision");
  if (revision <= 0) throw Malformed{"no revision"};
  return revision;
}

messages::KeyValue keyValue(const json& object) {
  return {bytesAt(object, "key"), bytesAt(object, "value"), numberAt(object, "create_revision"),
          numberAt(object, "mod_revision"), messages::LeaseId{numberAt(object, "lease")}};
}

std::vector<messages::KeyValue> keyValues(const json& ranged) {
  std::vector<messages::KeyValue> all;
  for (const auto& one : listAt(ranged, "kvs")) all.push_back(keyValue(one));
  return all;
}

json parsed(std::string_view body) {
  json document = json::parse(body, nullptr, false);
  if (document.is_discarded() || !document.is_object()) {
    throw Malformed{fmt::format("\"{}\" is no JSON object", escaped(cutUtf8(body, kShown)))};
  }
  return document;
}

template <typename Read>
auto checked(Read read) -> Result<decltype(read())> {
  try {
    return read();
  } catch (const Malformed& error) {
    return Error{ErrorCode::protocol, error.what};
  } catch (const json::exception&) {
    return Error{ErrorCode::protocol, "a field of another kind"};
  }
}

// --- requests

json rangeBody(const messages::Range& range) {
  json body{{"key", base64(range.key)}};
  if (!range.end.empty()) body["range_end"] = base64(range.end);
  if (range.at != 0) body["revision"] = std::to_string(range.at);
  if (range.most != 0) body["limit"] = std::to_string(range.most);
  return body;
}

json compareBody(const messages::Compare& compare) {
  const bool isCreated = compare.field == messages::Compare::Field::created;
  return {{"key", base64(compare.key)},
          {"result", "EQUAL"},
          {"target", isCreated ? "CREATE" : "MOD"},
          {isCreated ? "create_revision" : "mod_revision", std::to_string(compare.is)}};
}

json operationBody(const messages::Operation& operation) {
  if (const auto* remove = std::get_if<messages::Remove>(&operation)) {
    return {{"request_delete_range", {{"key", base64(remove->key)}}}};
  }
  const auto& put = std::get<messages::Put>(operation);
  json body{{"key", base64(put.key)}, {"value", base64(put.value)}};
  if (put.lease != messages::kNoLease) {
    body["lease"] = std::to_string(static_cast<std::int64_t>(put.lease));
  }
  return {{"request_put", std::move(body)}};
}

json txnBody(const messages::Txn& txn) {
  json body{{"compare", json::array()}, {"success", json::array()}, {"failure", json::array()}};
  for (const auto& one : txn.compares) body["compare"].push_back(compareBody(one));
  for (const auto& one : txn.then) body["success"].push_back(operationBody(one));
  for (const auto& one : txn.otherwise) {
    body["failure"].push_back({{"request_range", rangeBody(one)}});
  }
  return body;
}

json idBody(messages::LeaseId id) {
  return {{"ID", std::to_string(static_cast<std::int64_t>(id))}};
}

struct CallMaker {
  Call operator()(const messages::LeaseGrant& what) const {
    return {"/v3/lease/grant", json{{"TTL", std::to_string(what.ttl.count())}}.dump()};
  }
  Call operator()(const messages::LeaseKeepAlive& what) const {
    return {"/v3/lease/keepalive", idBody(what.lease).dump()};
  }
  Call operator()(const messages::LeaseRevoke& what) const {
    return {"/v3/lease/revoke", idBody(what.lease).dump()};
  }
  Call operator()(const messages::Range& what) const {
    return {"/v3/kv/range", rangeBody(what).dump()};
  }
  Call operator()(const messages::Txn& what) const { return {"/v3/kv/txn", txnBody(what).dump()}; }
  Call operator()(const messages::Watch& what) const {
    json create{{"key", base64(what.key)}, {"start_revision", std::to_string(what.from)}};
    if (!what.end.empty()) create["range_end"] = base64(what.end);
    return {"/v3/watch", json{{"create_request", std::move(create)}}.dump()};
  }
};

// --- answers

struct AnswerReader {
  const json& body;

  AnswerContent operator()(const messages::LeaseGrant& /*what*/) const {
    const messages::LeaseId id{numberAt(body, "ID")};
    const auto ttl = numberAt(body, "TTL");
    if (id == messages::kNoLease || ttl <= 0) throw Malformed{"no lease in the answer to a grant"};
    return messages::Granted{id, std::chrono::seconds(ttl)};
  }
  AnswerContent operator()(const messages::LeaseKeepAlive& /*what*/) const {
    const json& result = objectAt(body, "result");
    if (numberAt(result, "ID") == 0) throw Malformed{"no lease in the answer to a renewal"};
    return messages::Renewed{std::chrono::seconds(numberAt(result, "TTL"))};
  }
  AnswerContent operator()(const messages::LeaseRevoke& /*what*/) const {
    return messages::Revoked{};
  }
  AnswerContent operator()(const messages::Range& /*what*/) const {
    return messages::Ranged{revisionOf(body), keyValues(body), flagAt(body, "more")};
  }
  AnswerContent operator()(const messages::Txn& /*what*/) const {
    messages::TxnDone done{flagAt(body, "succeeded"), revisionOf(body), {}};
    if (done.succeeded) return done;
    for (const auto& response : listAt(body, "responses")) {
      const json* ranged = field(response, "response_range");
      if (!ranged) continue;
      for (auto& one : keyValues(*ranged)) done.otherwise.push_back(std::move(one));
    }
    return done;
  }
  AnswerContent operator()(const messages::Watch& /*what*/) const {
    throw Malformed{"a watch has lines"};
  }
};

AnswerContent watchLine(const json& line) {
  if (const json* error = field(line, "error")) {
    return messages::WatchEnded{readError(error->dump())};
  }
  const json& result = objectAt(line, "result");
  if (flagAt(result, "canceled")) {
    const bool isCompacted = numberAt(result, "compact_revision") != 0;
    return messages::WatchEnded{isCompacted ? "etcd was compacted" : "etcd ended the watch"};
  }
  if (flagAt(result, "created")) return messages::Watched{};
  messages::Watched watched{revisionOf(result), {}};
  for (const auto& event : listAt(result, "events")) {
    const json* type = field(event, "type");
    const bool isRemoved = type && *type == "DELETE";
    watched.changes.push_back({keyValue(objectAt(event, "kv")), isRemoved});
  }
  return watched;
}

}  // namespace

Call callOf(const messages::Request& request) {
  return std::visit(CallMaker{}, request.what);
}

Result<AnswerContent> readAnswer(const messages::Request& request, std::string_view body) {
  return checked([&] {
    const json document = parsed(body);
    return std::visit(AnswerReader{document}, request.what);
  });
}

Result<AnswerContent> readWatchLine(std::string_view line) {
  return checked([&] { return watchLine(parsed(line)); });
}

std::string readError(std::string_view body) {
  const json document = json::parse(body, nullptr, false);
  if (document.is_object()) {
    for (const char* name : {"message", "error"}) {
      const auto found = document.find(name);
      if (found == document.end() || !found->is_string()) continue;
      return escaped(cutUtf8(found->get_ref<const std::string&>(), limits::kMessageBytes));
    }
  }
  return fmt::format("\"{}\"", escaped(cutUtf8(body, kShown)));
}

Call authenticateCall(const std::string& user, const std::string& password) {
  const json body{{"name", user}, {"password", password}};
  return {"/v3/auth/authenticate", body.dump(-1, ' ', false, json::error_handler_t::replace)};
}

Result<std::string> readToken(std::string_view body) {
  return checked([&] {
    const json document = parsed(body);
    const json* token = field(document, "token");
    if (!token || !token->is_string() || token->get_ref<const std::string&>().empty()) {
      throw Malformed{"no token in the answer to user and password"};
    }
    return token->get<std::string>();
  });
}

std::string encodeCandidate(const Candidate& candidate) {
  return json{{"name", candidate.name.text()},       {"number", number(candidate.number)},
              {"address", candidate.address.text()}, {"started", candidate.started.count()},
              {"priority", candidate.priority},      {"peers", candidate.peers},
              {"drains", candidate.drains}}
      .dump();
}

std::optional<Candidate> decodeCandidate(std::string_view value) {
  constexpr std::int64_t kStartedMost = (std::int64_t{1} << 53) - 1;
  const auto inRange = [](std::int64_t number, std::int64_t least, std::int64_t most) {
    if (number < least || number > most) throw Malformed{"out of range"};
    return number;
  };
  const auto candidate = checked([&] {
    const json document = parsed(value);
    Candidate one;
    const auto name = ServerName::parse(document.at("name").get<std::string>());
    const auto address = Endpoint::parse(document.at("address").get<std::string>());
    if (!name || !address || !isHost(address->host) || address->port == 0) {
      throw Malformed{"name or address"};
    }
    one.name = *name;
    one.address = *address;
    one.number =
        ServerNumber{static_cast<std::uint16_t>(inRange(numberAt(document, "number"), 1, 0xffff))};
    one.started =
        std::chrono::milliseconds(inRange(numberAt(document, "started"), 0, kStartedMost));
    one.priority = static_cast<std::uint32_t>(
        inRange(numberAt(document, "priority"), 0, limits::kServerPriority));
    one.peers = static_cast<std::uint32_t>(
        inRange(numberAt(document, "peers"), 0, std::int64_t{limits::kMembers}));
    one.drains = flagAt(document, "drains");
    return one;
  });
  if (!candidate) return std::nullopt;
  return *candidate;
}

}  // namespace espalier::metaserver::etcd
