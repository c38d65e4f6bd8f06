// The small parts of the coordinator: streams of sessions, the choice of a home, the merge of two
// sides, and the changes of a directory for its reader.
#include <doctest/doctest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "metaserver/core/cluster/authority.h"
#include "metaserver/core/cluster/balance.h"
#include "metaserver/core/cluster/directory_changes.h"
#include "metaserver/core/cluster/merge.h"
#include "metaserver/core/cluster/promised_members.h"
#include "metaserver/core/cluster/session_streams.h"
#include "tests/unit/registry_fixture.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace espalier::metaserver::cluster;
using namespace std::chrono_literals;

namespace {

constexpr ServerNumber kHome{7};
constexpr auto kStarted = 0ms;  // so a stream's number is its count
const Epoch kOld{1, ServerNumber{1}};
const Epoch kNew{2, ServerNumber{2}};

std::vector<wire::SessionMessage> ended(std::uint64_t first, std::uint64_t count) {
  std::vector<wire::SessionMessage> messages;
  for (std::uint64_t i = 0; i < count; ++i) {
    messages.push_back(wire::SessionEnded{wire::SessionId{first + i}});
  }
  return messages;
}

std::vector<wire::SessionAnswer> closed(std::uint64_t session) {
  return {wire::SessionClosed{wire::SessionId{session}}};
}

MemberRow rowOf(int number, std::uint64_t order, std::uint16_t port, int keyNumber) {
  MemberRow row;
  row.contact = {peer(number), JoinOrder{order}, {"127.0.0.1", port}};
  row.key = key(keyNumber);
  return row;
}

Directory directoryOf(std::vector<MemberRow> rows) {
  Directory directory;
  for (auto& row : rows) directory.put(std::move(row));
  return directory;
}

wire::ServerState serverOf(std::uint16_t number, const char* host, std::uint32_t peers,
                           std::uint32_t room) {
  wire::ServerState state;
  state.name = *ServerName::parse("m" + std::to_string(number));
  state.number = ServerNumber{number};
  state.address = {host, number};
  state.peers = peers;
  state.room = room;
  return state;
}

std::string chosen(BalanceRule rule, const std::vector<wire::ServerState>& servers,
                   const char* host, std::uint64_t turn = 0) {
  const auto* home = chooseHome(rule, servers, host, turn);
  return home ? home->name.text() : "";
}

}  // namespace

// --- streams

TEST_CASE("a master takes each message of a stream once, and none of an older epoch or stream") {
  MasterStreams master(kNew);
  CHECK(master.take(kHome, kStarted, {kOld, 1, 2, ended(1, 2)}).messages.empty());
  auto first = master.take(kHome, kStarted, {kNew, 1, 2, ended(1, 2)});
  CHECK(first.isNew);
  CHECK(first.messages.size() == 2);
  CHECK(master.take(kHome, kStarted, {kNew, 1, 2, ended(1, 2)}).messages.empty());  // repeated
  CHECK(master.take(kHome, kStarted, {kNew, 1, 3, ended(2, 2)}).messages.size() == 1);
  CHECK(master.take(kHome, kStarted, {kNew, 2, 1, ended(9, 1)}).isNew);
  CHECK(master.take(kHome, kStarted, {kNew, 1, 4, ended(4, 1)})
            .messages.empty());  // the stream before
}

TEST_CASE("a gap breaks a stream until the home begins another one") {
  MasterStreams master(kNew);
  master.take(kHome, kStarted, {kNew, 1, 1, ended(1, 1)});
  const auto gap = master.take(kHome, kStarted, {kNew, 1, 4, ended(4, 1)});
  CHECK(gap.isBroken);
  CHECK(gap.messages.empty());
  CHECK(master.wrap(kHome, closed(1))->isBroken);
  CHECK(master.take(kHome, kStarted, {kNew, 1, 2, ended(2, 1)}).messages.empty());
  CHECK(master.take(kHome, kStarted, {kNew, 2, 1, ended(1, 1)}).messages.size() == 1);
  CHECK_FALSE(master.wrap(kHome, closed(1))->isBroken);
  CHECK_FALSE(master.wrap(ServerNumber{8}, closed(1)));  // it has no stream
}

TEST_CASE("a batch of an earlier run that comes late neither begins a stream nor stops the next") {
  HomeStream before(1000ms);
  for (int i = 0; i < 3; ++i) before.begin(kNew);
  HomeStream home(1001ms);
  home.begin(kNew);
  MasterStreams master(kNew);
  CHECK_FALSE(master.take(kHome, 1001ms, before.wrap(ended(1, 1))).isNew);
  CHECK_FALSE(master.wrap(kHome, closed(1)));
  const auto taken = master.take(kHome, 1001ms, home.wrap(ended(2, 1)));
  CHECK(taken.isNew);
  CHECK(taken.messages.size() == 1);
  CHECK(before.take(*master.wrap(kHome, closed(1)))->empty());
  // Also if the clock was put back between the two runs.
  HomeStream earlier(900ms);
  earlier.begin(kNew);
  MasterStreams other(kNew);
  CHECK(other.take(kHome, 900ms, earlier.wrap(ended(1, 1))).isNew);
}

TEST_CASE("a home takes answers of its master and its stream only, and notices what is lost") {
  HomeStream home(0ms);
  home.begin(kNew);
  CHECK(home.wrap(ended(1, 2)).sequence == 2);
  CHECK(home.take({kOld, 1, 1, false, closed(1)})->empty());
  CHECK(home.take({kNew, 2, 1, false, closed(1)})->empty());
  CHECK(home.take({kNew, 1, 1, false, closed(1)})->size() == 1);
  CHECK_FALSE(home.take({kNew, 1, 3, false, closed(1)}));
  home.begin(kNew);
  CHECK_FALSE(home.take({kNew, 2, 0, true, {}}));
  home.end();
  CHECK(home.take({kNew, 2, 1, false, closed(1)})->empty());
}

// --- the choice of a home

TEST_CASE("a newcomer goes to the emptiest, in turn, or to the nearest with room") {
  const std::vector<wire::ServerState> servers = {serverOf(1, "10.0.0.1", 5, 10),
                                                  serverOf(2, "10.0.1.1", 3, 10),
                                                  serverOf(3, "192.0.2.1", 0, 0)};  // full
  CHECK(chosen(BalanceRule::leastConnections, servers, "10.0.0.9") == "m2");
  CHECK(chosen(BalanceRule::roundRobin, servers, "10.0.0.9", 0) == "m1");
  CHECK(chosen(BalanceRule::roundRobin, servers, "10.0.0.9", 1) == "m2");
  CHECK(chosen(BalanceRule::roundRobin, servers, "10.0.0.9", 2) == "m1");
  CHECK(chosen(BalanceRule::nearest, servers, "10.0.0.9") == "m1");
  CHECK(chosen(BalanceRule::nearest, servers, "192.0.2.9") == "m1");  // a tie: the lower port
  CHECK(chosen(BalanceRule::nearest, {serverOf(3, "a", 0, 0)}, "10.0.0.9").empty());
  // The nearest one is crowded: 50 more than the emptiest, and 1.25 of the mean.
  const std::vector<wire::ServerState> crowded = {serverOf(1, "10.0.0.1", 53, 9),
                                                  serverOf(2, "192.0.2.1", 3, 9)};
  CHECK(chosen(BalanceRule::nearest, crowded, "10.0.0.9") == "m2");
  CHECK_FALSE(parseBalance("nonsense").ok());
  CHECK(balanceName(*parseBalance("nearest")) == "nearest");
}

// --- the merge

TEST_CASE("two sides become one: each member once, by the side that has it") {
  auto there = rowOf(1, 1, 6001, 1);
  there.home = ServerNumber{1};
  const auto away = rowOf(1, 1, 6009, 1);  // as the later epoch has it: without a home
  const Directory old = directoryOf({there, rowOf(2, 2, 6002, 2)});
  const Directory late = directoryOf({away, rowOf(3, 9, 6003, 3)});
  const auto merged = merge(std::vector<Side>{{kOld, &old}, {kNew, &late}});
  REQUIRE(merged.rows.size() == 3);
  CHECK(merged.rows[0].contact.endpoint.port == 6001);
  CHECK(merged.rows[1].contact.id == peer(2));
  CHECK(merged.rows[2].contact.order == JoinOrder{9});
  CHECK(merged.clashes.empty());
}

TEST_CASE("of one member on two sides the row of its later session counts, whoever has it") {
  auto later = rowOf(1, 1, 6001, 1);
  later.generation = 7;  // away by now
  auto earlier = rowOf(1, 1, 6002, 1);
  earlier.generation = 6;
  earlier.home = ServerNumber{1};
  const Directory with = directoryOf({later});
  const Directory without = directoryOf({earlier});
  const auto merged = merge(std::vector<Side>{{kOld, &with}, {kNew, &without}});
  REQUIRE(merged.rows.size() == 1);
  CHECK(merged.rows[0] == later);
}

TEST_CASE("an id on two sides stays with who joined first, or is one peer that joined again") {
  const Directory old = directoryOf({rowOf(1, 1, 6001, 1), rowOf(2, 2, 6002, 2)});
  const Directory late = directoryOf({rowOf(1, 8, 6008, 99), rowOf(2, 9, 6009, 2)});
  const auto merged = merge(std::vector<Side>{{kNew, &late}, {kOld, &old}});
  REQUIRE(merged.rows.size() == 2);
  CHECK(merged.rows[0].contact.order == JoinOrder{1});
  CHECK(merged.rows[1].contact.order == JoinOrder{9});
  REQUIRE(merged.clashes.size() == 1);
  CHECK(merged.clashes[0].contact.order == JoinOrder{8});
}

TEST_CASE("a peer that was renamed on one side does not hold its former id on the other") {
  auto before = rowOf(1, 5, 6005, 5);  // s1, as the side that did not see it renamed has it
  before.generation = 3;
  auto renamed = rowOf(12, 9, 6005, 5);
  renamed.generation = 4;
  const auto twin = rowOf(1, 8, 6008, 8);
  const Directory here = directoryOf({before});
  const Directory there = directoryOf({twin, renamed});
  const auto merged = merge(std::vector<Side>{{kNew, &there}, {kOld, &here}});
  CHECK(merged.clashes.empty());
  REQUIRE(merged.rows.size() == 2);
  CHECK(merged.rows[0] == twin);
  CHECK(merged.rows[1] == renamed);
}

TEST_CASE("no id is held for a peer that is a member under another one") {
  Directory here = directoryOf({rowOf(12, 9, 6005, 5)});
  here.putAbsent({rowOf(1, 5, 6005, 5).contact, key(5), false, false});
  here.putAbsent({rowOf(2, 6, 6006, 6).contact, key(6), false, false});
  const auto merged = merge(std::vector<Side>{{kNew, &here}});
  REQUIRE(merged.absent.size() == 1);
  CHECK(merged.absent[0].contact.id == peer(2));
}

// --- the reader

TEST_CASE("a reader that takes pages has what the directory has, also while that changes") {
  std::map<JoinOrder, SharedRow> seen;
  Directory directory;
  DirectoryChanges changes;
  const auto put = [&](int number, std::uint16_t port) {
    wire::Delta delta;
    delta.rows.push_back(rowOf(number, static_cast<std::uint64_t>(number), port, number));
    directory.put(delta.rows.back());
    changes.changed(delta);
  };
  const auto remove = [&](int number) {
    wire::Delta delta;
    delta.gone.push_back(JoinOrder{static_cast<std::uint64_t>(number)});
    directory.remove(delta.gone.back());
    changes.changed(delta);
  };
  const auto take = [&](std::size_t most) {
    auto page = changes.take(directory.copy(), most);
    if (page.fromScratch) seen.clear();
    for (const JoinOrder order : page.gone) seen.erase(order);
    for (auto& row : page.rows) seen.insert_or_assign(row->contact.order, row);
    return page.more;
  };
  for (int number = 1; number <= 5; ++number) put(number, 6000);
  CHECK(take(2));
  remove(1);     // behind the walk
  put(5, 7000);  // before it
  put(6, 6000);
  while (take(2)) {
  }
  CHECK(seen == directory.copy().rows());
  remove(2);
  put(3, 7000);
  CHECK_FALSE(take(9));
  CHECK(seen == directory.copy().rows());
  changes.reset();
  while (take(1)) {
  }
  CHECK(seen == directory.copy().rows());
}

// --- what a master has not sent yet

TEST_CASE(
    "answers of a stream that has ended are dropped, also those that etcd does not have yet") {
  Budget budget;
  metaserver::Effects fx;
  Authority authority({}, budget, TimePoint(1h), fx);
  const ServerNumber ended{3};
  const ServerNumber other{4};
  const wire::SessionAnswer answer = wire::SessionClosed{wire::SessionId{1}};
  authority.answers = {{ended, {answer}}, {other, {answer}}};
  authority.commits.resize(2);
  for (auto& commit : authority.commits) commit.answers = authority.answers;
  authority.dropAnswers(ended);
  CHECK(authority.answers.size() == 1);
  for (const auto& commit : authority.commits) {
    CHECK_FALSE(commit.answers.contains(ended));
    CHECK(commit.answers.contains(other));
  }
}

// --- what is promised to etcd

namespace {

void carryOut(const PromisedMembers::Operations& operations,
              std::map<std::string, std::string>& etcd) {
  for (const auto& operation : operations) {
    if (const auto* put = std::get_if<etcd::Put>(&operation)) {
      etcd[put->key] = put->value;
    } else {
      etcd.erase(std::get<etcd::Remove>(operation).key);
    }
  }
}

}  // namespace

TEST_CASE("the port of a member that was away is its own again when another one leaves it") {
  std::map<std::string, std::string> etcd;
  const std::string port = "/e/ports/127.0.0.1:6001";
  const auto held = [](const PeerId&) { return true; };
  const auto follow = [&](PromisedMembers& promised, const wire::Delta& delta) {
    PromisedMembers::Operations operations;
    promised.follow(delta, held, operations);
    carryOut(operations, etcd);
  };
  PromisedMembers first("/e/", {});
  wire::Delta joins;
  joins.rows = {rowOf(1, 1, 6001, 1)};
  follow(first, joins);
  wire::Delta gone;
  gone.gone = {JoinOrder{1}};
  follow(first, gone);  // its id is held
  wire::Delta next;
  next.rows = {rowOf(2, 2, 6001, 2)};
  follow(first, next);
  CHECK(etcd.at(port) == "s2");
  // The next master reads ids only.
  EtcdDirectory read;
  for (const auto& [name, value] : etcd) REQUIRE(readKey(name.substr(3), value, read).ok());
  PromisedMembers second("/e/", read);
  for (PromisedMembers* master : {&first, &second}) {
    CAPTURE(master == &first);
    etcd[port] = "s2";
    wire::Delta moves;
    moves.rows = {rowOf(2, 2, 6002, 2)};  // it found the port taken
    follow(*master, moves);
    CHECK(etcd.at(port) == "s1");
    follow(*master, joins);
    CHECK(etcd.at(port) == "s1");
  }
}

TEST_CASE("etcd follows the directory, and an id that is held stays taken") {
  std::map<std::string, std::string> etcd;
  PromisedMembers promised("/e/", {});
  bool isHeld = false;
  const auto held = [&](const PeerId&) { return isHeld; };
  const auto follow = [&](const wire::Delta& delta) {
    PromisedMembers::Operations operations;
    promised.follow(delta, held, operations);
    carryOut(operations, etcd);
  };
  wire::Delta joins;
  joins.rows = {rowOf(1, 1, 6001, 1), rowOf(2, 2, 6002, 2)};
  follow(joins);
  CHECK(etcd.size() == 4);
  // They change their ports with each other.
  wire::Delta swaps;
  swaps.rows = {rowOf(1, 1, 6002, 1), rowOf(2, 2, 6001, 2)};
  follow(swaps);
  CHECK(etcd.at("/e/ports/127.0.0.1:6002") == "s1");
  CHECK(etcd.at("/e/ports/127.0.0.1:6001") == "s2");
  // What is read back is what was written.
  EtcdDirectory read;
  for (const auto& [name, value] : etcd) REQUIRE(readKey(name.substr(3), value, read).ok());
  CHECK(read.members.at(peer(1)).endpoint.port == 6002);
  CHECK_FALSE(readKey("ids/s1", "nonsense", read).ok());
  CHECK_FALSE(readKey("other", "", read).ok());

  wire::Delta leaves;
  leaves.gone = {JoinOrder{1}};
  isHeld = true;
  follow(leaves);
  CHECK(etcd.contains("/e/ids/s1"));
  isHeld = false;
  PromisedMembers::Operations swept;
  promised.sweep(held, swept);
  carryOut(swept, etcd);
  CHECK(etcd.size() == 2);
  CHECK(promised.size() == 1);
}
