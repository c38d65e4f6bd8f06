#include <doctest/doctest.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <csignal>
#include <future>

#include "peer/transfer/shared_list.h"
#include "tests/unit/transfer_fixture.h"

using namespace espalier;
using namespace espalier::transfer;
using namespace espalier::transfer::test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t kChunk = limits::kChunkBytesMin;
const Timeouts kShort{2s, 300ms};

const SourceReport& reportOf(const FetchResult& result, const std::string& id) {
  for (const auto& source : result.sources) {
    if (source.id.text() == id) return source;
  }
  FAIL("no report of ", id);
  return result.sources.front();
}

}  // namespace

TEST_CASE("a file of any size arrives as it was shared") {
  HolderPeer s1("s1");
  const Asker asker;
  std::uint64_t seed = 0;
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{16383}, std::size_t{16384}, std::size_t{16385},
        kChunk - 1, kChunk, kChunk + 1, 3 * kChunk, 5 * kChunk + 4711}) {
    CAPTURE(size);
    const auto content = randomContent(size, ++seed);
    const auto info = s1.share.add("f" + std::to_string(size), content);
    const auto result = asker.fetch(info, {s1.holder()});
    REQUIRE_MESSAGE(result.ok(), result.error().message);
    CHECK(result->size == size);
    CHECK_FALSE(result->alreadyThere);
    CHECK(result->path == (asker.downloads / info.name).string());
    CHECK(readFile(asker.downloads / info.name) == content);
    CHECK_FALSE(asker.hasPart(info));
  }
}

TEST_CASE(
    "a file that is there already is not fetched again, and one that differs is not overwritten") {
  HolderPeer s1("s1");
  const Asker asker;
  const auto info = s1.share.add("f1.txt", randomContent(2 * kChunk + 5, 1));
  REQUIRE(asker.fetch(info, {s1.holder()}).ok());
  const auto again = asker.fetch(info, {s1.holder()});
  REQUIRE(again.ok());
  CHECK(again->alreadyThere);
  CHECK(s1.status().chunks == 3);

  writeFile(asker.downloads / "f1.txt", "mine");
  const auto refused = asker.fetch(info, {s1.holder()});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::failed);
  CHECK(refused.error().message == (asker.downloads / "f1.txt").string() +
                                       " exists and differs: --force overwrites it, -o PATH "
                                       "saves elsewhere");
  CHECK(readFile(asker.downloads / "f1.txt") == "mine");

  auto request = asker.request(info, {s1.holder()});
  request.force = true;
  REQUIRE(asker.fetch(request).ok());
  CHECK(readFile(asker.downloads / "f1.txt") == readFile(s1.share.path("f1.txt")));
}

TEST_CASE("the share learns of a fetched file while it still has its temporary name") {
  HolderPeer s1("s1");
  Asker asker;
  const auto content = randomContent(2 * kChunk + 1, 20);
  const auto info = s1.share.add("docs.txt", content);
  int calls = 0;
  asker.options.verified = [&](const std::string& path, const FileRoot& root,
                               std::span<const Digest> hashes) {
    ++calls;
    CHECK(readFile(path) == content);
    CHECK(root == info.root);
    CHECK(crypto::chunkListMatches(root, info.size, kChunk, hashes));
    CHECK_FALSE(fs::exists(asker.downloads / "docs.txt"));
  };
  auto request = asker.request(info, {s1.holder()});
  request.saveAs = "new/folder/docs.txt";
  const auto result = asker.fetch(request);
  REQUIRE(result.ok());
  CHECK(result->path == (asker.downloads / "new/folder/docs.txt").string());
  CHECK(readFile(asker.downloads / "new/folder/docs.txt") == content);
  CHECK(calls == 1);
}

TEST_CASE("several holders are used at once") {
  HolderPeer s1("s1");
  HolderPeer s2("s2");
  HolderPeer s3("s3");
  const Asker asker;
  const auto content = randomContent(40 * kChunk, 2);
  const auto info = s1.share.add("big", content);
  s2.share.add("other name", content);
  s3.share.add("big", content);
  const auto result = asker.fetch(info, {s1.holder(), s2.holder(), s3.holder()});
  REQUIRE(result.ok());
  CHECK(readFile(asker.downloads / "big") == content);
  CHECK(result->sources.size() == 3);
  std::uint64_t bytes = 0;
  for (const auto& source : result->sources) bytes += source.bytes;
  CHECK(bytes == content.size());
}

TEST_CASE("chunks that the only holder did not send are asked for again") {
  HolderPeer s1("s1");
  RateLimit slow;
  slow.set(16 << 20);
  Asker asker;
  asker.options.rate = &slow;
  const auto content = randomContent(24 * kChunk, 4);
  const auto info = s1.share.add("big", content);
  const auto result = asker.fetch(info, {s1.holder()});
  REQUIRE(result.ok());
  CHECK(readFile(asker.downloads / "big") == content);
  CHECK(s1.status().chunks == 24);
  CHECK(s1.share.finds >= 3);  // for the list, for all chunks, and for what was cut
}

TEST_CASE("a fetch that broke off goes on where it was, and no chunk is fetched twice") {
  HolderPeer s1("s1");
  const Asker asker(kShort);
  const auto content = randomContent(20 * kChunk, 3);
  const auto info = s1.share.add("big", content);
  {
    const Line line(s1.holder().endpoint, 8 * kChunk + kChunk / 2, Line::Then::stall);
    const auto broken = asker.fetch(info, {{s1.holder().id, line.endpoint()}});
    REQUIRE_FALSE(broken.ok());
    CHECK(broken.error().code == ErrorCode::timeout);
    CHECK(broken.error().message.find("are kept for the next try") != std::string::npos);
  }
  CHECK(asker.hasPart(info));
  CHECK_FALSE(fs::exists(asker.downloads / "big"));
  const auto before = s1.status().chunks;
  const int lists = s1.share.lists;

  const auto result = asker.fetch(info, {s1.holder()});
  REQUIRE(result.ok());
  CHECK(readFile(asker.downloads / "big") == content);
  CHECK(result->resumedBytes == 8 * kChunk);
  CHECK(s1.status().chunks - before == 12);
  CHECK(s1.share.lists == lists);
}

TEST_CASE("chunks that the journal marks as written are not trusted without their hash") {
  HolderPeer s1("s1");
  const Asker asker(kShort);
  const auto content = randomContent(10 * kChunk, 4);
  const auto info = s1.share.add("big", content);
  {
    const Line line(s1.holder().endpoint, 5 * kChunk + kChunk / 2, Line::Then::close);
    REQUIRE_FALSE(asker.fetch(info, {{s1.holder().id, line.endpoint()}}).ok());
  }
  const auto part =
      asker.downloads / ".espalier" / "incoming" / (toHex(info.root.view()) + ".part");
  std::string damaged = readFile(part);
  damaged[2 * kChunk + 77] = static_cast<char>(damaged[2 * kChunk + 77] ^ 4);
  writeFile(part, damaged);
  const auto result = asker.fetch(info, {s1.holder()});
  REQUIRE(result.ok());
  CHECK(result->resumedBytes == 4 * kChunk);
  CHECK(readFile(asker.downloads / "big") == content);
}

TEST_CASE("a journal of rubbish is worth nothing, and harms nothing") {
  HolderPeer s1("s1");
  const auto content = randomContent(3 * kChunk, 5);
  const auto info = s1.share.add("big", content);
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Asker asker;
    fs::create_directories(asker.downloads / ".espalier" / "incoming");
    auto journal = "ESPJRNL1" + std::string(info.root.view()) + randomContent(seed * 10, seed);
    if (seed % 2 == 0) journal = randomContent(seed * 30, seed);
    writeFile(asker.downloads / ".espalier" / "incoming" / (toHex(info.root.view()) + ".journal"),
              journal);
    REQUIRE(asker.fetch(info, {s1.holder()}).ok());
    CHECK(readFile(asker.downloads / "big") == content);
  }
}

TEST_CASE("a holder that sends a damaged chunk is not asked again, and others deliver it") {
  HolderPeer liar("liar");
  HolderPeer s2("s2");
  const Asker asker;
  const auto content = randomContent(12 * kChunk, 6);
  const auto info = liar.share.add("big", content);
  s2.share.add("big", content);
  for (std::size_t chunk = 0; chunk < 12; ++chunk) liar.share.damage(info, chunk * kChunk + 99);
  const auto result = asker.fetch(info, {liar.holder(), s2.holder()});
  REQUIRE(result.ok());
  CHECK(readFile(asker.downloads / "big") == content);
  const auto& report = reportOf(*result, "liar");
  CHECK(report.bytes == 0);
  if (report.problem) {
    CHECK(report.problem->code == ErrorCode::protocol);
    CHECK(report.problem->message.find("damaged chunk") != std::string::npos);
  }
  CHECK(liar.connections() == 1);
}

TEST_CASE("when all holders lie nothing is written under the name") {
  HolderPeer liar("liar");
  const Asker asker;
  const auto info = liar.share.add("big", randomContent(2 * kChunk, 7));
  liar.share.damage(info, 0);
  const auto result = asker.fetch(info, {liar.holder()});
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::protocol);
  CHECK(result.error().message.find("liar: sent a damaged chunk 0") != std::string::npos);
  CHECK(liar.share.awaitRejections() == 1);  // it is told, so that it looks at the file again
  CHECK_FALSE(fs::exists(asker.downloads / "big"));
}

TEST_CASE("a list of hashes that does not belong to the root is refused, another holder's taken") {
  HolderPeer liar("liar");
  HolderPeer s2("s2");
  const auto content = randomContent(4 * kChunk, 8);
  const auto info = liar.share.add("big", content);
  s2.share.add("big", content);
  liar.share.damageHashes(info);
  {
    const Asker asker;
    const auto result = asker.fetch(info, {liar.holder()});
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().code == ErrorCode::protocol);
  }
  const Asker asker;
  const auto result = asker.fetch(info, {liar.holder(), s2.holder()});
  REQUIRE(result.ok());
  CHECK(readFile(asker.downloads / "big") == content);
  // What was asked for together with the list came, if there was time for it, and was thrown away.
  CHECK(result->sources.at(0).bytes == 0);
}

TEST_CASE("when a holder breaks off or falls silent in the middle the others go on") {
  for (const auto then : {Line::Then::close, Line::Then::stall}) {
    HolderPeer s1("s1");
    HolderPeer s2("s2");
    const Asker asker(kShort);
    const auto content = randomContent(16 * kChunk, 9);
    const auto info = s1.share.add("big", content);
    s2.share.add("big", content);
    const Line line(s1.holder().endpoint, 2 * kChunk + kChunk / 2, then);
    const auto result = asker.fetch(info, {{s1.holder().id, line.endpoint()}, s2.holder()});
    REQUIRE_MESSAGE(result.ok(), result.error().message);
    CHECK(readFile(asker.downloads / "big") == content);
  }
}

TEST_CASE("a holder that broke off after it had delivered is dialled again") {
  HolderPeer s1("s1");
  const Asker asker(kShort);
  const auto content = randomContent(6 * kChunk, 10);
  const auto info = s1.share.add("big", content);
  // Cuts each connection once so much has passed in all: the second one gets nothing through.
  const Line line(s1.holder().endpoint, 3 * kChunk + kChunk / 2, Line::Then::close);
  const auto result = asker.fetch(info, {{s1.holder().id, line.endpoint()}});
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::io);
  CHECK(line.connections() == 2);
}

TEST_CASE("a holder that cannot be reached costs the fetch nothing") {
  HolderPeer s1("s1");
  HolderPeer gone("gone");
  const auto nobody = gone.holder();
  gone.stop();
  const Asker asker;
  const auto info = s1.share.add("f", randomContent(3 * kChunk, 11));
  const auto result = asker.fetch(info, {nobody, s1.holder()});
  REQUIRE(result.ok());
  const auto alone = asker.fetch(s1.share.add("g", "g"), {nobody});
  REQUIRE_FALSE(alone.ok());
  CHECK(alone.error().code == ErrorCode::io);
  CHECK(alone.error().message.find("gone: cannot connect to 127.0.0.1:") != std::string::npos);
}

TEST_CASE("a file that changed is never delivered as the old one") {
  HolderPeer s1("s1");
  const Asker asker;
  const auto info = s1.share.add("f", randomContent(2 * kChunk, 12));
  SUBCASE("with other bytes") {
    writeFile(s1.share.path("f"), randomContent(2 * kChunk, 13));
  }
  SUBCASE("shorter") {
    fs::resize_file(s1.share.path("f"), 100);
  }
  SUBCASE("replaced") {
    writeFile(s1.share.path("new"), randomContent(2 * kChunk, 14));
    fs::rename(s1.share.path("new"), s1.share.path("f"));
  }
  const auto result = asker.fetch(info, {s1.holder()});
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::failed);
  CHECK(result.error().message == "s1: the file has changed");
  CHECK(s1.status().chunks == 0);
  CHECK_FALSE(fs::exists(asker.downloads / "f"));
}

TEST_CASE("a file that is written while it is served ends the transfer, its chunks are verified") {
  HolderPeer s1("s1");
  const Asker asker;
  const auto info = s1.share.add("f", randomContent(64 * kChunk, 15));
  // Far more is left behind the line than sockets keep: the holder is in the middle of the file.
  Line line(s1.holder().endpoint, 3 * kChunk, Line::Then::wait);
  std::jthread writer([&] {
    line.awaitBytes();
    const FileDescriptor file(::open(s1.share.path("f").string().c_str(), O_WRONLY | O_CLOEXEC));
    for (off_t at = 0; at < static_cast<off_t>(64 * kChunk); at += 4096) {
      if (::pwrite(file.get(), "changed", 7, at) != 7) break;
    }
    line.goOn();
  });
  const auto result = asker.fetch(info, {{s1.holder().id, line.endpoint()}});
  writer.join();
  REQUIRE_FALSE(result.ok());
  CHECK(s1.status().chunks < 64);
  CHECK_FALSE(fs::exists(asker.downloads / "f"));
}

TEST_CASE("a file that is no longer shared is refused with a sentence") {
  HolderPeer s1("s1");
  const Asker asker;
  const auto info = s1.share.add("f", "content");
  s1.share.remove(info);
  const auto result = asker.fetch(info, {s1.holder()});
  REQUIRE_FALSE(result.ok());
  CHECK(result.error() == Error{ErrorCode::failed, "s1: the file is not shared"});
}

TEST_CASE("a stop ends a fetch at once, also one that waits for a silent holder") {
  HolderPeer s1("s1");
  const Asker asker;  // the time-out is 15 s: a test that waited for it would be seen
  const auto info = s1.share.add("big", randomContent(8 * kChunk, 16));
  const Line line(s1.holder().endpoint, 3 * kChunk + kChunk / 2, Line::Then::stall);
  std::stop_source stop;
  const auto started = Clock::now();
  const auto result = asker.fetch(asker.request(info, {{s1.holder().id, line.endpoint()}}),
                                  stop.get_token(), [&](const FetchProgress& progress) {
                                    CHECK(progress.size == info.size);
                                    if (progress.heldBytes >= 3 * kChunk) stop.request_stop();
                                  });
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::interrupted);
  CHECK(Clock::now() - started < limits::kTransferSilence);
  CHECK(asker.hasPart(info));
  const auto rest = asker.fetch(info, {s1.holder()});
  REQUIRE(rest.ok());
  CHECK(rest->resumedBytes == 3 * kChunk);
}

TEST_CASE("a list comes page after page, in the order of names") {
  HolderPeer s1("s1");
  std::vector<std::string> names;
  for (int i = 0; i < 600; ++i) names.push_back("f" + std::to_string(1000 + i));
  for (const auto& name : names) s1.share.add(name, name);
  net::Interrupter interrupter;
  const auto files = listShared(s1.holder(), kShort, interrupter);
  REQUIRE(files.ok());
  REQUIRE(files->files.size() == 600);
  CHECK(files->more == 0);
  for (std::size_t i = 0; i < 600; ++i) CHECK(files->files[i].name == names[i]);
  CHECK(listShared(s1.holder(), kShort, interrupter, "f15")->files.size() == 100);
  CHECK(listShared(s1.holder(), kShort, interrupter, "f1599")->files.size() == 1);
  CHECK(listShared(s1.holder(), kShort, interrupter, "f9")->files.empty());
}

TEST_CASE("one root is fetched once at a time") {
  HolderPeer s1("s1");
  const Asker asker;
  const auto info = s1.share.add("big", randomContent(8 * kChunk, 17));
  const Line line(s1.holder().endpoint, 3 * kChunk + kChunk / 2, Line::Then::stall);
  std::stop_source stop;
  std::optional<Result<FetchResult>> second;
  (void)asker.fetch(asker.request(info, {{s1.holder().id, line.endpoint()}}), stop.get_token(),
                    [&](const FetchProgress&) {
                      if (!second) second = asker.fetch(info, {s1.holder()});
                      stop.request_stop();
                    });
  REQUIRE(second.has_value());
  REQUIRE_FALSE(second->ok());
  CHECK(second->error().message == "the same file is being fetched already");
}

TEST_CASE("a full disk is said before anything is fetched, and the old file stays") {
  HolderPeer s1("s1");
  const Asker asker;
  const auto info = s1.share.add("big", randomContent(8 * kChunk, 18));
  const std::string small = (asker.downloads / "small").string();
  fs::create_directory(small);
  if (::geteuid() != 0 || ::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=4m") != 0) {
    MESSAGE("not root: the full disk is left out");
    return;
  }
  writeFile(fs::path(small) / "big", "old");
  auto request = asker.request(info, {s1.holder()});
  request.folder = small;
  request.force = true;
  const auto result = asker.fetch(request);
  const auto old = readFile(fs::path(small) / "big");
  // The state folder lies on another file system than the target: what is fetched is staged beside
  // the target, and nothing of that is left.
  request.root = hashesOf("tiny").root;
  request.size = 4;
  s1.share.add("tiny", "tiny");
  const auto tiny = asker.fetch(request);
  const bool staged = fs::exists(fs::path(small) / ".espalier" / "incoming" /
                                 (toHex(request.root.view()) + ".part"));
  const auto content = readFile(fs::path(small) / "big");
  ::umount2(small.c_str(), MNT_DETACH);

  REQUIRE_FALSE(result.ok());
  CHECK(result.error() == Error{ErrorCode::io, "no room for 8.4 MB: the disk is full"});
  CHECK(s1.status().bytes == 4);
  CHECK(old == "old");
  REQUIRE_MESSAGE(tiny.ok(), tiny.error().message);
  CHECK_FALSE(staged);
  CHECK(content == "tiny");
}

TEST_CASE("a limit on the size of files is an error, not a signal") {
  HolderPeer s1("s1");
  const Asker asker;
  const auto info = s1.share.add("big", randomContent(8 * kChunk, 19));
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  rlimit limited = before;
  limited.rlim_cur = 2 * kChunk;
  ::setrlimit(RLIMIT_FSIZE, &limited);
  const auto result = asker.fetch(info, {s1.holder()});
  ::setrlimit(RLIMIT_FSIZE, &before);
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::io);
  CHECK(asker.fetch(info, {s1.holder()}).ok());
}

TEST_CASE("a folder that may not be written is an error before anything is fetched") {
  HolderPeer s1("s1");
  const Asker asker;
  const auto info = s1.share.add("f", "content");
  auto request = asker.request(info, {s1.holder()});
  SUBCASE("missing") {
    request.folder = (asker.downloads / "missing").string();
  }
  SUBCASE("a file") {
    writeFile(asker.downloads / "file", "x");
    request.folder = (asker.downloads / "file").string();
  }
  SUBCASE("no permission") {
    if (::geteuid() == 0) request.folder = "/proc/self";
    if (::geteuid() != 0) {
      fs::create_directory(asker.downloads / "locked");
      fs::permissions(asker.downloads / "locked", fs::perms::owner_read | fs::perms::owner_exe);
      request.folder = (asker.downloads / "locked").string();
    }
  }
  const auto result = asker.fetch(request);
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::io);
  CHECK(s1.connections() == 0);
}
