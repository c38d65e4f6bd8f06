#include "common/wire/cluster_directory_codec.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "cluster.pb.h"
#include "common/base/limits.h"
#include "common/wire/contact_codec.h"
#include "common/wire/field_bytes.h"

namespace espalier::wire {
namespace {

constexpr std::size_t kContactMost =
    fieldBytes(limits::kPeerIdBytes) + numberBytes(limits::kJoinOrder) +
    fieldBytes(limits::kHostBytes) + numberBytes(0xffff) + fieldBytes(InstanceHash::kSizeBytes);
constexpr std::size_t kRowMost =
    fieldBytes(kContactMost) + fieldBytes(InstanceKey::kSizeBytes) +
    limits::kMaxLinks * fieldBytes(limits::kPeerIdBytes) + numberBytes(limits::kJoinOrder) +
    numberBytes(limits::kMaxLinks) + numberBytes(0xffff) + 2 * numberBytes(0xffff'ffff) +
    numberBytes(limits::kStatisticsCount) + numberBytes(1) +
    limits::kRoomsOfPeer * (fieldBytes(limits::kPeerIdBytes) + 1) + numberBytes(kAnyNumber) + 1;
static_assert(fieldBytes(kRowMost) <= limits::kDirectoryRowBytes, "the estimate of a row holds");

constexpr std::size_t kSummaryMost = fieldBytes(kVersionBytes) + numberBytes(limits::kMembers) +
                                     numberBytes(limits::kJoinOrder) + 4 * (kTagBytes + 8) +
                                     numberBytes(1) + numberBytes(limits::kAbsentCopied);
constexpr std::size_t kRestMost =  // of a page, a delta, a pull or a position without its lists
    fieldBytes(kSummaryMost) + fieldBytes(kVersionBytes) + 3 * numberBytes(kAnyNumber) +
    2 * fieldBytes(0) + 2 * varintBytes(limits::kFrameBytes);  // the heads of two lists of orders
constexpr std::size_t kListMost = limits::kDirectoryMessageBytes + limits::kDirectoryRowBytes;
static_assert(kRouteBytes + fieldBytes(kRestMost + fieldBytes(kListMost)) <= limits::kFrameBytes,
              "a page fits, and a delta");

// --- out

void fill(const DirectoryRow& row, proto::DirectoryRow& out) {
  fill(row.contact, *out.mutable_contact());
  out.mutable_key()->assign(row.key.view());
  fillNeighbours(row.neighbours, *out.mutable_neighbours());
  out.set_above(number(row.above));
  out.set_reported_parent(row.reportedParent);
  out.set_home(number(row.home));
  out.set_generation(row.generation);
  out.set_since_ms(static_cast<std::uint64_t>(row.since.count()));
  out.set_is_rated(row.isRated);
  for (const auto& room : row.rooms) out.add_rooms(room.text());
  out.set_rooms_revision(row.roomsRevision);
}

using RowFields = google::protobuf::RepeatedPtrField<proto::DirectoryRow>;

void fillRows(const std::vector<SharedRow>& rows, RowFields& out) {
  out.Reserve(static_cast<int>(rows.size()));
  for (const auto& row : rows) fill(*row, *out.Add());
}

using AbsentFields = google::protobuf::RepeatedPtrField<proto::AbsentRow>;

void fillAbsent(const std::vector<AbsentRow>& absent, AbsentFields& out) {
  out.Reserve(static_cast<int>(absent.size()));
  for (const auto& row : absent) {
    auto& added = *out.Add();
    fill(row.contact, *added.mutable_contact());
    added.mutable_key()->assign(row.key.view());
    added.set_is_before(row.isBefore);
    added.set_is_free(row.isFree);
  }
}

// A version of zeros is absent, as in a message that was decoded to it.
void fill(const DirectorySummary& summary, proto::DirectorySummary& out) {
  if (summary.version != DirectoryVersion()) toProto(summary.version, *out.mutable_version());
  out.set_count(summary.count);
  out.set_newest(number(summary.newest));
  out.set_digest_low(summary.digest.low);
  out.set_digest_high(summary.digest.high);
  out.set_is_awaiting(summary.isAwaiting);
  out.set_absent_count(summary.absentCount);
  out.set_absent_low(summary.absentDigest.low);
  out.set_absent_high(summary.absentDigest.high);
}

// --- in

// An order, or kAllOrders.
Result<JoinOrder> readCovered(std::uint64_t in) {
  return in == number(kAllOrders) ? kAllOrders : readOrder(in);
}

// Messages without it are refused: else one would encode to more bytes than it was decoded from.
Result<DirectorySummary> readSummary(bool isThere, const proto::DirectorySummary& in) {
  if (!isThere) return malformed("no summary of a directory");
  const auto version = fromProto(in.version());
  if (!version) return version.error();
  const auto count = readMembers(in.count(), 0);
  if (!count) return count.error();
  const auto newest = readOrder(in.newest());
  if (!newest) return newest.error();
  if (in.absent_count() > limits::kAbsentCopied) {
    return malformed(fmt::format("{} absent members", in.absent_count()));
  }
  return DirectorySummary{*version,
                          *count,
                          *newest,
                          {in.digest_low(), in.digest_high()},
                          in.is_awaiting(),
                          in.absent_count(),
                          {in.absent_low(), in.absent_high()}};
}

Result<std::vector<RoomName>> readRoomsOf(const proto::DirectoryRow& in) {
  if (static_cast<std::size_t>(in.rooms_size()) > limits::kRoomsOfPeer) {
    return malformed(fmt::format("a member in {} rooms", in.rooms_size()));
  }
  std::vector<RoomName> rooms;
  for (const auto& text : in.rooms()) {
    auto room = RoomName::parse(text);
    if (!room) return malformed("a room without a valid name");
    if (!rooms.empty() && *room <= rooms.back()) return malformed("rooms that do not rise");
    rooms.push_back(*std::move(room));
  }
  return rooms;
}

Result<DirectoryRow> read(const proto::DirectoryRow& in) {
  DirectoryRow row;
  auto contact = readContact(in.contact());
  if (!contact) return contact.error();
  row.contact = *std::move(contact);
  const auto key = InstanceKey::fromRaw(in.key());
  if (!key) return malformed("an instance key of the wrong length");
  row.key = *key;
  auto neighbours = readNeighbours(in.neighbours());
  if (!neighbours) return neighbours.error();
  row.neighbours = *std::move(neighbours);
  const auto& ids = in.neighbours();
  if (hasRepeats(std::vector<std::string_view>(ids.begin(), ids.end())))
    return malformed("a member with two links to one neighbour");
  const auto above = readOrder(in.above());
  if (!above) return above.error();
  if (*above == row.contact.order) return malformed("a member above itself");
  row.above = *above;
  if (in.reported_parent() > row.neighbours.size()) return malformed("a parent that is no link");
  row.reportedParent = static_cast<std::uint8_t>(in.reported_parent());
  const auto home = readServerNumber(in.home());
  if (!home) return home.error();
  row.home = *home;
  row.generation = in.generation();
  if (in.since_ms() > limits::kStatisticsCount) return malformed("a session of no time");
  row.since = std::chrono::milliseconds(in.since_ms());
  row.isRated = in.is_rated();
  auto rooms = readRoomsOf(in);
  if (!rooms) return rooms.error();
  row.rooms = *std::move(rooms);
  row.roomsRevision = in.rooms_revision();
  return row;
}

// Each order and each id once.
Result<std::vector<SharedRow>> readRows(const RowFields& in) {
  std::vector<SharedRow> rows;
  std::vector<JoinOrder> orders;
  std::vector<std::string_view> ids;
  rows.reserve(static_cast<std::size_t>(in.size()));
  for (const auto& entry : in) {
    auto row = read(entry);
    if (!row) return row.error();
    rows.emplace_back(*std::move(row));
    orders.push_back(rows.back()->contact.order);
    ids.push_back(entry.contact().id());
  }
  if (hasRepeats(std::move(orders))) return malformed("two rows of one order");
  if (hasRepeats(std::move(ids))) return malformed("two rows of one id");
  return rows;
}

// Each order once.
Result<std::vector<AbsentRow>> readAbsent(const AbsentFields& in) {
  std::vector<AbsentRow> absent;
  std::vector<JoinOrder> orders;
  absent.reserve(static_cast<std::size_t>(in.size()));
  for (const auto& entry : in) {
    auto contact = readContact(entry.contact());
    if (!contact) return contact.error();
    const auto key = InstanceKey::fromRaw(entry.key());
    if (!key) return malformed("an instance key of the wrong length");
    orders.push_back(contact->order);
    absent.push_back({*std::move(contact), *key, entry.is_before(), entry.is_free()});
  }
  if (hasRepeats(std::move(orders))) return malformed("two absent members of one order");
  return absent;
}

Result<std::vector<JoinOrder>> readGone(const google::protobuf::RepeatedField<std::uint64_t>& in) {
  std::vector<JoinOrder> gone;
  gone.reserve(static_cast<std::size_t>(in.size()));
  for (const std::uint64_t one : in) {
    const auto order = readOrder(one);
    if (!order) return order.error();
    if (*order == kNoOrder) return malformed("the end of a member that never joined");
    gone.push_back(*order);
  }
  if (hasRepeats(gone)) return malformed("the end of a member twice");
  return gone;
}

// That the rows of a page lie within it, and rise.
template <typename Row>
Result<void> checkPage(const SnapshotPage& page, const std::vector<Row>& rows) {
  JoinOrder last = page.after;
  for (const auto& row : rows) {
    const JoinOrder order = contactOf(row).order;
    if (order <= last) return malformed("a page whose rows are not in their order");
    last = order;
  }
  if (last > page.upTo) return malformed("a page with rows that it does not cover");
  return {};
}

}  // namespace

Result<ServerNumber> readServerNumber(std::uint32_t in) {
  if (in > 0xffff) return malformed(fmt::format("a metaserver of number {}", in));
  return ServerNumber{static_cast<std::uint16_t>(in)};
}

Result<Epoch> readEpoch(std::uint32_t counter, std::uint32_t number) {
  if (counter > limits::kEpochCounter) return malformed(fmt::format("epoch {}", counter));
  const auto server = readServerNumber(number);
  if (!server) return server.error();
  return Epoch{counter, *server};
}

void toProto(const Route& route, proto::Route& out) {
  out.set_from(number(route.from));
  out.set_to(number(route.to));
  out.set_hops(route.hops);
}

Result<Route> fromProto(const proto::Route& in) {
  const auto from = readServerNumber(in.from());
  if (!from) return from.error();
  const auto to = readServerNumber(in.to());
  if (!to) return to.error();
  if (*from == kNoServer || *to == kNoServer) return malformed("a way without its ends");
  if (in.hops() > limits::kMetaservers) return malformed(fmt::format("{} hops", in.hops()));
  return Route{*from, *to, static_cast<std::uint8_t>(in.hops())};
}

void toProto(const DirectoryVersion& version, proto::DirectoryVersion& out) {
  out.set_epoch_counter(version.epoch.counter);
  out.set_epoch_number(number(version.epoch.number));
  out.set_sequence(version.sequence);
}

Result<DirectoryVersion> fromProto(const proto::DirectoryVersion& in) {
  const auto epoch = readEpoch(in.epoch_counter(), in.epoch_number());
  if (!epoch) return epoch.error();
  if (in.sequence() >= limits::kSequenceNumbers) {
    return malformed(fmt::format("change {} of a directory", in.sequence()));
  }
  return DirectoryVersion{*epoch, in.sequence()};
}

void toProto(const SnapshotPage& page, proto::SnapshotPage& out) {
  out.set_answers(page.answers);
  fill(page.of, *out.mutable_of());
  out.set_after(number(page.after));
  out.set_up_to(number(page.upTo));
  fillRows(page.rows, *out.mutable_rows());
  fillAbsent(page.absent, *out.mutable_absent());
}

void toProto(const Delta& delta, proto::Delta& out) {
  fill(delta.after, *out.mutable_after());
  out.mutable_gone()->Reserve(static_cast<int>(delta.gone.size()));
  for (const JoinOrder order : delta.gone) out.add_gone(number(order));
  fillRows(delta.rows, *out.mutable_rows());
  out.mutable_absent_gone()->Reserve(static_cast<int>(delta.absentGone.size()));
  for (const JoinOrder order : delta.absentGone) out.add_absent_gone(number(order));
  fillAbsent(delta.absent, *out.mutable_absent());
}

void toProto(const Pull& pull, proto::Pull& out) {
  if (pull.have != DirectoryVersion()) toProto(pull.have, *out.mutable_have());
  out.set_covered(number(pull.covered));
  out.set_number(pull.number);
}

void toProto(const Position& position, proto::Position& out) {
  fill(position.of, *out.mutable_of());
  out.set_answers(position.answers);
}

Result<SnapshotPage> fromProto(const proto::SnapshotPage& in) {
  SnapshotPage page;
  if (in.answers() == 0) return malformed("a page that nobody asked for");
  page.answers = in.answers();
  const auto of = readSummary(in.has_of(), in.of());
  if (!of) return of.error();
  page.of = *of;
  const auto after = readOrder(in.after());
  if (!after) return after.error();
  page.after = *after;
  const auto upTo = readCovered(in.up_to());
  if (!upTo) return upTo.error();
  if (*upTo <= page.after) return malformed("a page that covers no orders");
  page.upTo = *upTo;
  auto rows = readRows(in.rows());
  if (!rows) return rows.error();
  page.rows = *std::move(rows);
  auto absent = readAbsent(in.absent());
  if (!absent) return absent.error();
  page.absent = *std::move(absent);
  if (auto within = checkPage(page, page.rows); !within) return within.error();
  if (auto within = checkPage(page, page.absent); !within) return within.error();
  return page;
}

Result<Delta> fromProto(const proto::Delta& in) {
  Delta delta;
  const auto after = readSummary(in.has_after(), in.after());
  if (!after) return after.error();
  if (after->version.sequence == 0) return malformed("a change that no change comes before");
  delta.after = *after;
  auto gone = readGone(in.gone());
  if (!gone) return gone.error();
  delta.gone = *std::move(gone);
  auto rows = readRows(in.rows());
  if (!rows) return rows.error();
  delta.rows = *std::move(rows);
  auto absentGone = readGone(in.absent_gone());
  if (!absentGone) return absentGone.error();
  delta.absentGone = *std::move(absentGone);
  auto absent = readAbsent(in.absent());
  if (!absent) return absent.error();
  delta.absent = *std::move(absent);
  return delta;
}

Result<Pull> fromProto(const proto::Pull& in) {
  const auto have = fromProto(in.have());
  if (!have) return have.error();
  const auto covered = readCovered(in.covered());
  if (!covered) return covered.error();
  if (in.number() == 0) return malformed("a pull without a number");
  return Pull{*have, *covered, in.number()};
}

Result<Position> fromProto(const proto::Position& in) {
  const auto of = readSummary(in.has_of(), in.of());
  if (!of) return of.error();
  return Position{*of, in.answers()};
}

}  // namespace espalier::wire
