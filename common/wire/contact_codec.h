// Helpers of the codecs of links and of the registry: payloads, contacts, endpoints and ids as
// protobuf and back. A value that breaks a limit is an error of code `protocol`, with a message
// that is safe to print. Stateless; thread-safe. Used by the codecs only.
#pragma once

#include <google/protobuf/message_lite.h>
#include <google/protobuf/repeated_field.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/wire/contact.h"
#include "common/wire/order_range.h"

namespace espalier::proto {
class Contact;
class Endpoint;
}  // namespace espalier::proto

namespace espalier::wire {

Error malformed(std::string_view what);

// Reads a frame's payload as a protobuf message. False if it is malformed.
bool parse(std::string_view payload, google::protobuf::MessageLite& out);
// The payload of a frame. Asserts that it is within limits::kFrameBytes.
std::string serialized(const google::protobuf::MessageLite& message);

void fill(const Contact& contact, proto::Contact& out);
// Fails unless the contact can be dialled: a valid host (isHost), port and order not 0.
Result<Contact> readContact(const proto::Contact& in);

Result<PeerId> readPeerId(std::string_view text);
// An empty text is an absent id.
Result<std::optional<PeerId>> readOptionalPeerId(std::string_view text);
// Of 16 bytes, or absent: zero.
Result<InstanceHash> readOptionalInstance(std::string_view raw);
using TextFields = google::protobuf::RepeatedPtrField<std::string>;
Result<std::vector<PeerId>> readNeighbours(const TextFields& in);
void fillNeighbours(const std::vector<PeerId>& neighbours, TextFields& out);

using ContactFields = google::protobuf::RepeatedPtrField<proto::Contact>;
Result<std::vector<Contact>> readContacts(const ContactFields& in, std::size_t most);
void fillContacts(const std::vector<Contact>& contacts, ContactFields& out);

void fill(const Endpoint& endpoint, proto::Endpoint& out);
// Fails unless it can be dialled, as in a contact.
Result<Endpoint> readEndpoint(const proto::Endpoint& in);
using EndpointFields = google::protobuf::RepeatedPtrField<proto::Endpoint>;
Result<std::vector<Endpoint>> readEndpoints(const EndpointFields& in, std::size_t most);
void fillEndpoints(const std::vector<Endpoint>& endpoints, EndpointFields& out);

Result<JoinOrder> readOrder(std::uint64_t order);
// For each range the distance from the end of the one before, and its length. Fails unless there
// are at most `most`, of at most limits::kMembers orders.
using RangeFields = google::protobuf::RepeatedField<std::uint64_t>;
Result<std::vector<OrderRange>> readOrderRanges(const RangeFields& in, std::size_t most);
void fillOrderRanges(const std::vector<OrderRange>& ranges, RangeFields& out);
Result<std::uint64_t> readMembers(std::uint64_t count, std::uint64_t least);

}  // namespace espalier::wire
