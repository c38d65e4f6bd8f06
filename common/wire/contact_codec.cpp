#include "common/wire/contact_codec.h"

#include <fmt/format.h>

#include <cassert>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "contact.pb.h"

namespace espalier::wire {

Error malformed(std::string_view what) {
  return {ErrorCode::protocol, fmt::format("a malformed message: {}", what)};
}

bool parse(std::string_view payload, google::protobuf::MessageLite& out) {
  return payload.size() <= limits::kFrameBytes &&
         out.ParseFromArray(payload.data(), static_cast<int>(payload.size()));
}

std::string serialized(const google::protobuf::MessageLite& message) {
  std::string payload = message.SerializeAsString();
  assert(payload.size() <= limits::kFrameBytes);
  return payload;
}

Result<JoinOrder> readOrder(std::uint64_t order) {
  if (order > limits::kJoinOrder) return malformed("an order of joining that nobody can have");
  return JoinOrder{order};
}

Result<std::vector<OrderRange>> readOrderRanges(const RangeFields& in, std::size_t most) {
  const auto numbers = in.size();
  if (numbers % 2 != 0) return malformed("half a range of join orders");
  if (static_cast<std::size_t>(numbers) / 2 > most) {
    return malformed(std::to_string(numbers / 2) + " ranges of join orders");
  }
  std::vector<OrderRange> ranges;
  ranges.reserve(static_cast<std::size_t>(numbers) / 2);
  std::uint64_t last = 0;
  std::uint64_t count = 0;
  for (int i = 0; i < numbers; i += 2) {
    const auto gap = in[i];
    const auto length = in[i + 1];
    // Compared to what is left: a sum might overflow.
    if (gap == 0 || gap > limits::kJoinOrder - last || length >= limits::kMembers ||
        length > limits::kJoinOrder - last - gap || (count += length + 1) > limits::kMembers) {
      return malformed("join orders that nobody can have");
    }
    ranges.push_back({last + gap, last + gap + length});
    last = ranges.back().last;
  }
  return ranges;
}

void fillOrderRanges(const std::vector<OrderRange>& ranges, RangeFields& out) {
  out.Reserve(static_cast<int>(2 * ranges.size()));
  std::uint64_t last = 0;
  for (const auto& range : ranges) {
    out.Add(range.first - last);
    out.Add(range.last - range.first);
    last = range.last;
  }
}

Result<std::uint64_t> readMembers(std::uint64_t count, std::uint64_t least) {
  if (count < least || count > limits::kMembers) {
    return malformed(fmt::format("{} members", count));
  }
  return count;
}

Result<PeerId> readPeerId(std::string_view text) {
  auto id = PeerId::parse(text);
  if (!id) return malformed(id.error().message);
  return id;
}

Result<std::optional<PeerId>> readOptionalPeerId(std::string_view text) {
  if (text.empty()) return std::optional<PeerId>();
  auto id = readPeerId(text);
  if (!id) return id.error();
  return std::optional<PeerId>(*std::move(id));
}

Result<InstanceHash> readOptionalInstance(std::string_view raw) {
  if (raw.empty()) return InstanceHash();
  const auto instance = InstanceHash::fromRaw(raw);
  if (!instance) return malformed("an instance of the wrong length");
  return *instance;
}

Result<std::vector<PeerId>> readNeighbours(const TextFields& in) {
  const auto count = static_cast<std::size_t>(in.size());
  if (count > limits::kMaxLinks) return malformed(fmt::format("a peer with {} links", count));
  std::vector<PeerId> neighbours;
  neighbours.reserve(count);
  for (const auto& text : in) {
    auto id = readPeerId(text);
    if (!id) return id.error();
    neighbours.push_back(*std::move(id));
  }
  return neighbours;
}

void fillNeighbours(const std::vector<PeerId>& neighbours, TextFields& out) {
  out.Reserve(static_cast<int>(neighbours.size()));
  for (const auto& id : neighbours) *out.Add() = id.text();
}

namespace {

Result<Endpoint> endpointOf(const std::string& host, std::uint32_t port) {
  if (!isHost(host)) return malformed("an endpoint without a host that could be dialled");
  if (port < 1 || port > 65535) return malformed(fmt::format("port {}", port));
  return Endpoint{host, static_cast<std::uint16_t>(port)};
}

}  // namespace

void fill(const Contact& contact, proto::Contact& out) {
  out.set_id(contact.id.text());
  out.set_order(number(contact.order));
  out.set_host(contact.endpoint.host);
  out.set_port(contact.endpoint.port);
  if (!contact.instance.isZero()) out.mutable_instance()->assign(contact.instance.view());
}

Result<Contact> readContact(const proto::Contact& in) {
  auto id = readPeerId(in.id());
  if (!id) return id.error();
  const auto order = readOrder(in.order());
  if (!order) return order.error();
  if (*order == kNoOrder) return malformed("a contact that never joined");
  auto endpoint = endpointOf(in.host(), in.port());
  if (!endpoint) return endpoint.error();
  const auto instance = readOptionalInstance(in.instance());
  if (!instance) return instance.error();
  return Contact{*std::move(id), *order, *std::move(endpoint), *instance};
}

Result<std::vector<Contact>> readContacts(const ContactFields& in, std::size_t most) {
  const auto count = static_cast<std::size_t>(in.size());
  if (count > most) return malformed(fmt::format("{} contacts, more than {}", count, most));
  std::vector<Contact> contacts;
  contacts.reserve(count);
  for (const auto& entry : in) {
    auto contact = readContact(entry);
    if (!contact) return contact.error();
    contacts.push_back(*std::move(contact));
  }
  return contacts;
}

void fillContacts(const std::vector<Contact>& contacts, ContactFields& out) {
  out.Reserve(static_cast<int>(contacts.size()));
  for (const auto& contact : contacts) fill(contact, *out.Add());
}

void fill(const Endpoint& endpoint, proto::Endpoint& out) {
  out.set_host(endpoint.host);
  out.set_port(endpoint.port);
}

Result<Endpoint> readEndpoint(const proto::Endpoint& in) {
  return endpointOf(in.host(), in.port());
}

Result<std::vector<Endpoint>> readEndpoints(const EndpointFields& in, std::size_t most) {
  const auto count = static_cast<std::size_t>(in.size());
  if (count > most) return malformed(fmt::format("{} endpoints, more than {}", count, most));
  std::vector<Endpoint> endpoints;
  endpoints.reserve(count);
  for (const auto& entry : in) {
    auto endpoint = readEndpoint(entry);
    if (!endpoint) return endpoint.error();
    endpoints.push_back(*std::move(endpoint));
  }
  return endpoints;
}

void fillEndpoints(const std::vector<Endpoint>& endpoints, EndpointFields& out) {
  out.Reserve(static_cast<int>(endpoints.size()));
  for (const auto& endpoint : endpoints) fill(endpoint, *out.Add());
}

}  // namespace espalier::wire
