// ShareIndex over real folders: scanning, hashing, watching, restarts.
#include "peer/share/share_index.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <thread>

#include "peer/share/hash_lanes.h"
#include "tests/unit/share_fixture.h"

using namespace espalier;
using namespace espalier::share;

TEST_CASE("a folder tree is shared with names, sizes and roots") {
  Sharer sharer;
  const std::string big = filled(3 * 1024 * 1024 + 5, 'b');
  write(sharer.share() / "f1.txt", "hello");
  write(sharer.share() / "empty", "");
  write(sharer.share() / "deep/er/and deeper/päivää 日本.txt", "x");
  write(sharer.share() / "deep/big.bin", big);
  write(sharer.share() / "deep.txt", "sorts between the folder and what is in it");
  auto& index = sharer.startAndWait();

  const auto snapshot = index.snapshot();
  CHECK(sharer.names() == std::vector<std::string>{"deep.txt", "deep/big.bin",
                                                   "deep/er/and deeper/päivää 日本.txt", "empty",
                                                   "f1.txt"});
  CHECK(snapshot->find("f1.txt")->root == rootOf("hello"));
  CHECK(snapshot->find("f1.txt")->stat.sizeBytes == 5);
  CHECK(snapshot->find("empty")->root.isZero());
  CHECK(snapshot->find("deep/big.bin")->root == rootOf(big));
  CHECK(snapshot->find("deep") == nullptr);
  CHECK(snapshot->findRoot(rootOf("hello")).size() == 1);
  CHECK(snapshot->file(rootOf(big))->path == sharer.share() / "deep/big.bin");
  const auto progress = index.progress();
  CHECK(progress.ready);
  CHECK(progress.hashedFiles == 5);
  CHECK(progress.totalFiles == 5);
  CHECK(progress.hashedBytes == snapshot->totalBytes());
}

TEST_CASE("two names of one content are both found by its root") {
  Sharer sharer;
  write(sharer.share() / "b", "same");
  write(sharer.share() / "a/c", "same");
  auto& index = sharer.startAndWait();
  const auto found = index.snapshot()->findRoot(rootOf("same"));
  REQUIRE(found.size() == 2);
  CHECK(found[0]->name == "a/c");
  CHECK(found[1]->name == "b");
}

TEST_CASE("only regular files of the share itself are listed") {
  Sharer sharer;
  write(sharer.outside() / "secret", "secret");
  write(sharer.share() / "kept", "kept");
  write(sharer.share() / "sub/.espalier/key", "key");
  write(sharer.share() / ".espalier-part", "temporary");
  fs::create_symlink(sharer.outside() / "secret", sharer.share() / "link");
  fs::create_directory_symlink(sharer.outside(), sharer.share() / "folder");
  REQUIRE(::mkfifo((sharer.share() / "fifo").c_str(), 0600) == 0);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{AF_UNIX, {}};
  const std::string socketPath = (sharer.share() / "socket").string();
  std::ranges::copy(socketPath, address.sun_path);
  REQUIRE(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  write(sharer.share() / "bad\xff\xfe.txt", "name");

  sharer.startAndWait();
  CHECK(sharer.names() == std::vector<std::string>{"kept"});
  sharer.waitForNotice("bad\\xff\\xfe.txt: not shared, because the name is not UTF-8");

  fs::create_symlink(sharer.outside() / "secret", sharer.share() / "later");
  fs::remove(sharer.share() / "kept");
  fs::create_symlink(sharer.outside() / "secret", sharer.share() / "kept");
  write(sharer.share() / "last", "last");
  sharer.waitForNames({"last"});
  ::close(socket);
}

TEST_CASE("a state folder of another name is not shared either") {
  TempFolder temp;
  Sharer sharer([](ShareOptions& options) { options.stateFolder = options.root / "mine"; });
  write(sharer.share() / "mine/key", "key");
  write(sharer.share() / "f", "f");
  sharer.startAndWait();
  CHECK(sharer.names() == std::vector<std::string>{"f"});
}

TEST_CASE("new, changed, moved and removed files are noticed, also in new folders") {
  Sharer sharer;
  write(sharer.share() / "a", "a");
  sharer.startAndWait();

  write(sharer.share() / "new/folder/b", "b");
  sharer.waitForNames({"a", "new/folder/b"});
  write(sharer.share() / "a", "changed");
  sharer.waitForContent("a", "changed");
  write(sharer.share() / "new/folder/c", "c");
  sharer.waitForNames({"a", "new/folder/b", "new/folder/c"});

  fs::rename(sharer.share() / "new", sharer.share() / "old");
  sharer.waitForNames({"a", "old/folder/b", "old/folder/c"});
  write(sharer.share() / "old/folder/d", "d");
  sharer.waitForNames({"a", "old/folder/b", "old/folder/c", "old/folder/d"});

  fs::rename(sharer.share() / "old/folder", sharer.temp / "elsewhere");
  sharer.waitForNames({"a"});
  fs::rename(sharer.temp / "elsewhere", sharer.share() / "back");
  sharer.waitForNames({"a", "back/b", "back/c", "back/d"});
  fs::remove_all(sharer.share() / "back");
  fs::remove(sharer.share() / "a");
  sharer.waitForNames({});
}

TEST_CASE("a file and a folder can take each other's name") {
  Sharer sharer;
  write(sharer.share() / "x", "file");
  sharer.startAndWait();
  fs::remove(sharer.share() / "x");
  write(sharer.share() / "x/y", "in the folder");
  sharer.waitForNames({"x/y"});
  fs::remove_all(sharer.share() / "x");
  write(sharer.share() / "x", "file again");
  sharer.waitForNames({"x"});
  sharer.waitForContent("x", "file again");
}

TEST_CASE("a restart hashes nothing again, nor does a rename") {
  Sharer sharer;
  std::uint64_t bytes = 0;
  for (int i = 0; i < 50; ++i) {
    const std::string text = filled(static_cast<std::size_t>(i) * 3000, 'a');
    write(sharer.share() / ("d" + std::to_string(i % 5)) / std::to_string(i), text);
    bytes += text.size();
  }
  const auto before = sharer.startAndWait().snapshot();
  CHECK(sharer.index().progress().readBytes == bytes);

  sharer.startAndWait();
  CHECK(sharer.index().progress().readBytes == 0);
  const auto after = sharer.index().snapshot();
  CHECK(sharer.namesOf(*after) == sharer.namesOf(*before));
  for (const auto& entry : before->entries()) {
    CHECK(after->find(entry->name)->root == entry->root);
  }

  fs::rename(sharer.share() / "d1", sharer.share() / "e1");
  sharer.waitFor([](const Snapshot& now) { return now.find("e1/46") && !now.find("d1/46"); });
  sharer.waitReady();
  CHECK(sharer.index().progress().readBytes == 0);

  sharer.stop();
  write(sharer.share() / "e1/1", "only this one");
  sharer.startAndWait();
  CHECK(sharer.index().progress().readBytes == 13);
  sharer.waitForContent("e1/1", "only this one");
}

TEST_CASE("a file that changed while the peer was away is hashed again, also of the same size") {
  Sharer sharer;
  write(sharer.share() / "f", "one");
  setMtime(sharer.share() / "f", 1'000'000);
  sharer.startAndWait();
  sharer.stop();
  write(sharer.share() / "f", "two");
  sharer.startAndWait();
  sharer.waitForContent("f", "two");
}

TEST_CASE("a damaged index is reported, ignored and written anew") {
  for (const std::string damage : {"", "short", "flip"}) {
    CAPTURE(damage);
    Sharer sharer;
    write(sharer.share() / "f", "content");
    sharer.startAndWait();
    sharer.stop();
    const fs::path file = sharer.share() / ".espalier/index";
    REQUIRE(fs::file_size(file) == 48 + 72 + 32);
    if (damage == "flip") {
      std::fstream stream(file.string(), std::ios::in | std::ios::out | std::ios::binary);
      stream.seekp(60);
      stream.put('!');
    } else {
      write(file, damage);
    }
    sharer.startAndWait();
    CHECK(sharer.noticed("is damaged"));
    CHECK(sharer.index().progress().readBytes == 7);
    sharer.waitForContent("f", "content");
    sharer.startAndWait();
    CHECK(sharer.index().progress().readBytes == 0);
  }
}

TEST_CASE("each listed version was whole at one moment, however the file grows") {
  Sharer sharer;
  const fs::path file = sharer.share() / "growing";
  write(file, "");
  sharer.startAndWait();
  std::jthread writer([&] {
    std::ofstream stream(file.string(), std::ios::binary | std::ios::app);
    const std::string block = filled(64 * 1024, 'g');
    for (int i = 0; i < 400; ++i) stream.write(block.data(), 64 * 1024).flush();
  });
  // Every version that is published meanwhile is a prefix of what was written.
  const std::string whole = [] {
    std::string all;
    for (int i = 0; i < 400; ++i) all += filled(64 * 1024, 'g');
    return all;
  }();
  sharer.waitFor([&](const Snapshot& now) {
    const Entry* entry = now.find("growing");
    if (entry == nullptr) return false;
    CHECK(entry->root == rootOf(whole.substr(0, entry->stat.sizeBytes)));
    return entry->stat.sizeBytes == whole.size();
  });
}

TEST_CASE("a file is opened for serving only as the version that was hashed") {
  Sharer sharer;
  write(sharer.share() / "d/f", "version one");
  auto& index = sharer.startAndWait();
  const auto file = *index.snapshot()->file("d/f");
  {
    const auto opened = index.openForServing(file);
    REQUIRE(opened);
    CHECK(opened->sizeBytes == 11);
    std::string text(11, ' ');
    CHECK(::pread(opened->descriptor.get(), text.data(), 11, 0) == 11);
    CHECK(text == "version one");
    CHECK(unchanged(opened->descriptor.get(), file));
    write(sharer.share() / "d/f", "version two");
    CHECK_FALSE(unchanged(opened->descriptor.get(), file));
  }
  const auto changed = index.openForServing(file);
  REQUIRE_FALSE(changed);
  CHECK(changed.error() == Error{ErrorCode::failed, "d/f has changed since it was hashed"});
  sharer.waitForContent("d/f", "version two");

  // A folder of the path becomes a link to the folder with the same file.
  const auto second = *index.snapshot()->file("d/f");
  REQUIRE(index.openForServing(second));
  fs::rename(sharer.share() / "d", sharer.temp / "d");
  fs::create_directory_symlink(sharer.temp / "d", sharer.share() / "d");
  CHECK(index.openForServing(second).error().code == ErrorCode::failed);
  sharer.waitForNames({});
  fs::remove(sharer.share() / "d");
  CHECK(index.openForServing(second).error().message == "d/f is no longer there");
}

TEST_CASE("the chunk hashes of a root are kept, and computed again when they were lost") {
  Sharer sharer;
  const std::string big = filled(5 * 1024 * 1024 + 1, 'c');
  write(sharer.share() / "big", big);
  write(sharer.share() / "small", "small");
  write(sharer.share() / "empty", "");
  const auto matches = [&](ShareIndex& index) {
    const auto chunks = index.chunkHashes(rootOf(big));
    return chunks && chunks->size() == 6 &&
           crypto::chunkListMatches(rootOf(big), big.size(), 1 << 20, *chunks);
  };
  auto& first = sharer.startAndWait();
  CHECK(matches(first));
  CHECK(*first.chunkHashes(rootOf("small")) == std::vector<Digest>{rootOf("small")});
  CHECK(first.chunkHashes(FileRoot{})->empty());
  CHECK(first.chunkHashes(rootOf("unknown")).error().code == ErrorCode::failed);

  const std::string hex = toHex(rootOf(big).view());
  const fs::path kept = sharer.share() / ".espalier/chunks" / hex.substr(0, 2) / hex.substr(2);
  REQUIRE(fs::exists(kept));
  write(sharer.share() / ".espalier/chunks/00" / std::string(62, '0'), "of a file that is gone");
  CHECK(matches(sharer.startAndWait()));
  CHECK(sharer.index().progress().readBytes == 0);
  sharer.stop();  // the index tidies its lists once it is ready
  CHECK_FALSE(fs::exists(sharer.share() / ".espalier/chunks/00" / std::string(62, '0')));
  write(kept, std::string(6 * 32, 'x'));
  CHECK(matches(sharer.startAndWait()));
  fs::remove_all(sharer.share() / ".espalier/chunks");
  CHECK(matches(sharer.startAndWait()));
}

TEST_CASE("a verified download is shared without being hashed again") {
  Sharer sharer;
  auto& index = sharer.startAndWait();
  const std::string big = filled(2 * 1024 * 1024 + 1, 'l');
  crypto::FileHasher hasher(big.size());
  hasher.update(std::as_bytes(std::span(big)));
  const auto hashes = hasher.finish();
  for (const std::string name : {"known", "unproven"}) {
    const fs::path incoming = sharer.share() / ".espalier/incoming";
    write(incoming, big);
    index.learn(incoming, name == "known" ? hashes.root : rootOf("another"), hashes.chunks);
    fs::rename(incoming, sharer.share() / name);
    sharer.waitForContent(name, big);
    CHECK(index.progress().readBytes == (name == "known" ? 0 : big.size()));
  }
  CHECK(*index.chunkHashes(hashes.root) == hashes.chunks);
}

TEST_CASE("a file that is written while it is hashed counts as changed") {
  TempFolder temp;
  constexpr std::uint64_t kSize = 4 * limits::kHashSegmentBytes;
  ChunkLists lists(temp / "chunks");
  HashLanes lanes(2, lists, [] {});
  write(temp / "f", "x");
  fs::resize_file(temp / "f", kSize);
  // A write after the last read proves nothing: repeated until one came before it.
  for (bool proven = false; !proven;) {
    struct stat status {};
    REQUIRE(::stat((temp / "f").c_str(), &status) == 0);
    auto job = std::make_shared<HashJob>();
    job->name = job->relative = "f";
    job->folder = temp.path();
    job->stat = fileStat(status);
    lanes.submit(job);
    while (job->readBytes == 0) std::this_thread::yield();
    const FileDescriptor file(::open((temp / "f").c_str(), O_WRONLY | O_CLOEXEC));
    REQUIRE(::pwrite(file.get(), "y", 1, kSize / 2) == 1);
    const timespec times[2] = {{0, UTIME_OMIT}, {status.st_mtim.tv_sec + 1, 0}};
    REQUIRE(::futimens(file.get(), times) == 0);
    proven = job->readBytes < kSize;
    std::vector<HashJobPointer> results;
    while (results.empty()) results = lanes.takeResults();
    if (proven) CHECK(job->outcome == HashOutcome::changed);
  }
}

TEST_CASE("a file larger than a segment is hashed by all lanes to the same root") {
  Sharer sharer;
  // Sparse, with some bytes in every segment.
  const std::uint64_t size = 3 * limits::kHashSegmentBytes + 12345;
  crypto::FileHasher hasher(size);
  {
    std::ofstream stream((sharer.share() / "huge").string(), std::ios::binary);
    for (const auto at : std::vector<std::uint64_t>{0, 70'000'000, 140'000'000, size - 1}) {
      stream.seekp(static_cast<std::streamoff>(at)).put('!');
    }
  }
  std::vector<std::byte> piece(1 << 20);
  std::ifstream stream((sharer.share() / "huge").string(), std::ios::binary);
  while (stream.read(reinterpret_cast<char*>(piece.data()), 1 << 20), stream.gcount() > 0) {
    hasher.update(std::span(piece).first(static_cast<std::size_t>(stream.gcount())));
  }
  const auto expected = hasher.finish();
  auto& index = sharer.startAndWait();
  CHECK(index.snapshot()->find("huge")->root == expected.root);
  CHECK(*index.chunkHashes(expected.root) == expected.chunks);
}

TEST_CASE("files are listed while thousands are hashed, and a stop in between loses no hash") {
  Sharer sharer;
  constexpr int kFiles = 5000;
  for (int i = 0; i < kFiles; ++i) {
    write(sharer.share() / ("d" + std::to_string(i % 50)) / std::to_string(i),
          filled(100, 'a') + std::to_string(i));
  }
  sharer.start();
  sharer.waitFor([](const Snapshot& now) { return !now.empty(); });
  sharer.stop();
  auto& index = sharer.start();
  sharer.waitReady();
  CHECK(index.snapshot()->size() == kFiles);
  CHECK(index.progress().readBytes < kFiles * 104);
  CHECK(index.snapshot()->find("d49/4999")->root == rootOf(filled(100, 'a') + "4999"));
  fs::remove_all(sharer.share() / "d7");
  sharer.waitFor([](const Snapshot& now) { return now.size() == kFiles - kFiles / 50; });
}
