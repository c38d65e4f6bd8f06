// The shells of several peers in one process, over loopback: runtime, joining, searches, downloads,
// pushes, leaving.
#include <doctest/doctest.h>

#include <future>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/shell_world.h"

namespace espalier::test {
namespace {

using peer::shell::ActiveTransfer;
using peer::shell::DownloadChanged;
using peer::shell::DownloadRequest;
using peer::shell::Fetched;
using peer::shell::MembersChanged;
using peer::shell::PushedPeer;
using peer::shell::SearchChanged;
using peer::shell::TransferControl;
using transfer::test::randomContent;

using End = TestPeer::End;
using Policy = TestPeer::Policy;

// Waits for an event after which `done()` is true.
bool await(EventBus::Subscription& events, const std::function<bool()>& done) {
  const TimePoint until = Clock::now() + kPatience;
  while (!done()) {
    if (!events.next({}, until)) return done();
  }
  return true;
}

DownloadRequest request(const peer::FoundFile& file) {
  DownloadRequest request;
  request.file = file;
  request.destination.typed = file.name;
  return request;
}

struct TwoPeers {
  World world;
  TestMetaserver metaserver{world};
  TestPeer s1{world, metaserver.at(), "s1"};
  TestPeer s2{world, metaserver.at(), "s2", Policy::all};
};

TEST_CASE("a peer joins, finds, fetches, and its neighbour hears it leave") {
  TwoPeers net;
  net.s1.put("docs/f1.txt", "hello");
  net.s1.join("s1");
  EventBus::Subscription members(net.s1.events(), kindsOf<MembersChanged>());
  net.s2.join("s2");
  const auto links = net.s2.services().topology.links();
  REQUIRE(links);
  REQUIRE(links->size() == 1);
  CHECK(links->front().id.text() == "s1");

  EventBus::Subscription progress(net.s2.events(), kindsOf<SearchChanged>());
  const auto fetched =
      net.s2.services().downloads.fetch(request(net.s2.find("docs/f1.txt")), {}, {});
  REQUIRE(fetched);
  CHECK(net.s2.content("docs/f1.txt") == "hello");
  REQUIRE(fetched->sources.size() == 1);
  CHECK(fetched->sources.front().text() == "s1");
  CHECK(progress.next({}, Clock::now()));

  net.s2.leave();
  std::uint64_t count = 0;
  CHECK(await(members, [&] {
    count = net.s1.services().status.status()->members;
    return count == 1;
  }));
  CHECK(net.s1.services().topology.links()->empty());
}

TEST_CASE("files of many names are fetched together, each told once") {
  TwoPeers net;
  for (int i = 0; i < 40; ++i) net.s1.put("f" + std::to_string(i) + ".txt", std::to_string(i));
  net.s1.put("large.bin", randomContent(200'000, 1));
  net.s1.join("s1");
  net.s2.join("s2");
  const auto found = net.s2.services().search.find({PatternKind::glob, "*"}, {}, {});
  REQUIRE(found);
  std::vector<DownloadRequest> requests;
  for (const auto& file : found->files) requests.push_back(request(file));
  REQUIRE(requests.size() == 41);

  std::vector<int> told(requests.size());
  net.s2.services().downloads.fetchMany(requests, {}, {}, [&](std::size_t i, Result<Fetched> file) {
    ++told[i];
    CHECK(file);
  });
  CHECK(told == std::vector<int>(requests.size(), 1));
  CHECK(net.s2.content("f39.txt") == "39");
  CHECK(net.s2.content("large.bin") == randomContent(200'000, 1));
}

TEST_CASE("a download is paused, shown, resumed and finished") {
  TwoPeers net;
  const std::string content = randomContent(6'000'000, 2);
  net.s1.put("f.bin", content);
  net.s1.join("s1");
  net.s2.join("s2");
  auto services = net.s2.services();
  services.transfers.limit(std::nullopt, 2'000'000);
  EventBus::Subscription events(net.s2.events(), kindsOf<DownloadChanged>());
  const auto file = net.s2.find("f.bin");
  auto fetched = std::async(std::launch::async,
                            [&] { return services.downloads.fetch(request(file), {}, {}); });

  const auto shown = [&] { return services.status.status()->transfers; };
  REQUIRE(await(events, [&] { return !shown().empty() && shown()[0].doneBytes > 0; }));
  const auto paused = services.transfers.control(TransferControl::pause, {});
  REQUIRE(paused);
  REQUIRE(paused->size() == 1);
  CHECK(shown().front().state == ActiveTransfer::State::paused);
  CHECK_FALSE(services.transfers.control(TransferControl::resume, {999}));

  services.transfers.limit(std::nullopt, 0);
  CHECK(services.transfers.control(TransferControl::resume, {paused->front().number}));
  CHECK(fetched.get());
  CHECK(net.s2.content("f.bin") == content);
  CHECK(shown().empty());
  CHECK(services.status.status()->receivedBytes >= content.size());
}

TEST_CASE("a cancelled download ends as interrupted, and a later one resumes it") {
  TwoPeers net;
  const std::string content = randomContent(3'000'000, 3);
  net.s1.put("f.bin", content);
  net.s1.join("s1");
  net.s2.join("s2");
  auto services = net.s2.services();
  services.transfers.limit(std::nullopt, 1'000'000);
  EventBus::Subscription events(net.s2.events(), kindsOf<DownloadChanged>());
  const auto file = net.s2.find("f.bin");
  auto fetched = std::async(std::launch::async,
                            [&] { return services.downloads.fetch(request(file), {}, {}); });
  REQUIRE(await(events, [&] {
    const auto shown = services.status.status()->transfers;
    return !shown.empty() && shown[0].doneBytes > 0;
  }));
  CHECK(services.transfers.control(TransferControl::cancel, {}));
  const auto ended = fetched.get();
  REQUIRE_FALSE(ended);
  CHECK(ended.error().code == ErrorCode::interrupted);

  services.transfers.limit(std::nullopt, 0);
  const auto before = services.status.status()->receivedBytes;
  CHECK(services.downloads.fetch(request(file), {}, {}));
  CHECK(net.s2.content("f.bin") == content);
  CHECK(services.status.status()->receivedBytes - before < content.size());
}

TEST_CASE("a push reaches the peers that accept it; the ledger names the one that does not") {
  TwoPeers net;
  TestPeer s3(net.world, net.metaserver.at(), "s3");
  const std::string content = randomContent(300'000, 4);
  net.s1.put("out/f.bin", content);
  net.s1.join("s1");
  net.s2.join("s2");
  s3.join("s3");
  std::uint64_t hashed = 0;
  const auto report = net.s1.services().pushes.push(
      {{(net.s1.share() / "out/f.bin").string()}, {"out/f.bin"}, {}, false}, {}, {},
      [&](const command::Progress& progress) { hashed = progress.done; });
  REQUIRE(report);
  CHECK(hashed == content.size());
  CHECK(net.s2.content("f.bin") == content);
  REQUIRE(report->peers.size() == 2);
  CHECK(report->peers[0].state == PushedPeer::State::verified);
  CHECK(report->peers[1].state == PushedPeer::State::declined);
  CHECK(report->over);

  const auto known = net.s2.services().pushes.pushes({});
  REQUIRE(known);
  REQUIRE(known->size() == 1);
  CHECK(known->front().sender.text() == "s1");
  CHECK(net.s2.services().status.status()->receivedBytes >= content.size());
}

TEST_CASE("a push that waits for a peer out of reach ends when it is interrupted") {
  TwoPeers net;
  net.s1.put("f.bin", "push");
  net.s1.join("s1");
  net.s2.join("s2");
  std::stop_source stop;
  peer::shell::PushRequest wanted{.paths = {(net.s1.share() / "f.bin").string()},
                                  .names = {"f.bin"},
                                  .to = {*PeerId::parse("s9")},
                                  .wait = true};
  const auto report = net.s1.services().pushes.push(wanted, stop.get_token(),
                                                    [&](const peer::shell::PushReport& now) {
                                                      if (!now.peers.empty()) stop.request_stop();
                                                    },
                                                    {});
  REQUIRE(report);
  CHECK(report->interrupted);
  CHECK(report->over);
  REQUIRE(report->peers.size() == 1);
  CHECK(report->peers[0].state == PushedPeer::State::outOfReach);
}

TEST_CASE("waiting for members ends when the last of them has joined") {
  TwoPeers net;
  net.s1.join("s1");
  std::promise<void> waits;
  auto joined = std::async(std::launch::async, [&] {
    return net.s1.services().topology.awaitMembers(2, {}, [&](std::uint64_t members) {
      if (members == 1) waits.set_value();
    });
  });
  waits.get_future().wait();
  net.s2.join("s2");
  CHECK(joined.get());

  std::stop_source stop;
  auto never = std::async(std::launch::async, [&] {
    return net.s1.services().topology.awaitMembers(9, stop.get_token(), {});
  });
  stop.request_stop();
  CHECK(never.get().error().code == ErrorCode::interrupted);
}

TEST_CASE("an id in use is refused and leaves nothing behind; another one joins") {
  TwoPeers net;
  net.s1.join("s1");
  CHECK(net.s2.tryToJoin("s1").end == End::idRefused);
  CHECK(net.s2.joiner().peer() == nullptr);
  CHECK_FALSE(fs::exists(net.s2.share()));
  net.s2.join("s2");
  CHECK(fs::exists(net.s2.share() / ".espalier/instance.key"));
}

TEST_CASE("a peer that was refused for its word says which one is wanted, and may try again") {
  TwoPeers net;
  const auto refused = net.s1.tryToJoin("s1", "yes");
  CHECK(refused.end == End::wordRefused);
  CHECK(net.s1.joiner().joinWord() == "P2P");
  CHECK(net.s1.joiner().peer() != nullptr);
  net.s1.join("s1");
}

TEST_CASE("without a metaserver joining ends at once, and no search is possible") {
  World world;
  auto gone = std::make_unique<TestMetaserver>(world);
  const Endpoint at = gone->at();
  gone.reset();
  TestPeer s1(world, at, "s1");
  const auto guest = s1.topology().topology({});
  CHECK(guest.error().code == ErrorCode::unavailable);
  CHECK(s1.tryToJoin("s1").end == End::unavailable);
  const auto found = s1.services().search.find({std::nullopt, "x"}, {}, {});
  CHECK(found.error().code == ErrorCode::unavailable);
  const auto status = s1.services().status.status();
  REQUIRE(status);
  CHECK_FALSE(status->metaserverReachable);
}

TEST_CASE("a guest sees the network; a member sees the last snapshot when the metaserver is gone") {
  TwoPeers net;
  net.s1.join("s1");
  const auto guest = net.s2.topology().topology({});
  REQUIRE(guest);
  REQUIRE(guest->peers.size() == 1);
  CHECK(guest->peers[0].id.text() == "s1");
  CHECK_FALSE(guest->asOf);

  REQUIRE(net.s1.topology().topology({}));
  EventBus::Subscription events(net.s1.events(), kindsOf<peer::shell::MetaserverLost>());
  net.metaserver.end();
  REQUIRE(events.next({}, Clock::now() + kPatience));
  const auto last = net.s1.topology().topology({});
  REQUIRE(last);
  CHECK(last->peers.size() == 1);
  CHECK(last->asOf);
  CHECK(net.s1.topology().knownPeers("s") == std::vector<std::string>{"s1"});
}

TEST_CASE("the commands call the services of a joined peer") {
  TwoPeers net;
  net.s1.put("f1.txt", "hello");
  net.s1.join("s1");
  net.s2.join("s2");
  command::Context context;
  const auto& dispatcher = net.s2.joiner().peer()->dispatcher();
  CHECK(dispatcher.runLine("get f1.txt", context).exitCode() == 0);
  CHECK(net.s2.content("f1.txt") == "hello");
  CHECK(dispatcher.runLine("list s1", context).exitCode() == 0);
  CHECK(dispatcher.runLine("list s9", context).exitCode() == exitCode(ErrorCode::unavailable));
  CHECK(dispatcher.runLine("whatif kill s1", context).exitCode() == 0);
  CHECK(dispatcher.runLine("unshare f1.txt", context).exitCode() == 0);
  CHECK(net.s2.services().share.list(std::nullopt, {})->files.empty());
}

}  // namespace
}  // namespace espalier::test
