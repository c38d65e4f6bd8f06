// PartFile alone: what is on the disk, and what the next run finds.
#include "peer/transfer/part_file.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "peer/transfer/part_batch.h"
#include "tests/unit/transfer_fixture.h"

using namespace espalier;
using namespace espalier::transfer;
using namespace espalier::transfer::test;

namespace {

ChunkPlan planOf(const std::string& content) {
  const auto hashes = hashesOf(content);
  return {hashes.root, content.size(), hashes.chunkBytes, hashes.chunks};
}

std::span<const std::byte> bytesOf(const ChunkPlan& plan, const std::string& content,
                                   std::uint64_t chunk) {
  return std::as_bytes(std::span(content)).subspan(plan.offset(chunk), plan.bytesOf(chunk));
}

std::shared_ptr<const PartFolder> openFolderAt(const TemporaryFolder& folder) {
  return std::make_shared<PartFolder>(
      PartFolder{FileDescriptor(::open(folder.text().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
                 folder.text()});
}

}  // namespace

TEST_CASE("a file of one chunk has no journal, and is found whole by the next run") {
  TemporaryFolder incoming;
  const std::string content = randomContent(5000, 1);
  const auto plan = planOf(content);
  {
    auto part = PartFile::open(openFolderAt(incoming), plan.root, content.size());
    REQUIRE(part.ok());
    REQUIRE(part->begin(plan, {}).ok());
    REQUIRE(part->write(0, bytesOf(plan, content, 0)).ok());
  }
  const auto names = namesIn(openFolderAt(incoming)->descriptor.get());
  CHECK(names.contains(PartFile::nameOf(plan.root)));
  CHECK(std::none_of(names.begin(), names.end(),
                     [](const std::string& name) { return name.ends_with(kJournalEnding); }));

  auto again = PartFile::open(openFolderAt(incoming), plan.root, content.size());
  REQUIRE(again.ok());
  const auto held = again->begin(plan, {});
  REQUIRE(held.ok());
  CHECK(*held == std::vector<std::uint64_t>{0});
}

TEST_CASE("a file of several chunks resumes with those that were written and still hash right") {
  TemporaryFolder incoming;
  const std::string content = randomContent(3 * limits::kChunkBytesMin, 2);
  const auto plan = planOf(content);
  {
    auto part = PartFile::open(openFolderAt(incoming), plan.root, content.size());
    REQUIRE(part.ok());
    REQUIRE(part->begin(plan, {}).ok());
    REQUIRE(part->write(0, bytesOf(plan, content, 0)).ok());
    REQUIRE(part->write(2, bytesOf(plan, content, 2)).ok());
    const FileDescriptor file(::open(part->path().c_str(), O_WRONLY | O_CLOEXEC));
    REQUIRE(::pwrite(file.get(), "x", 1, 17) == 1);  // behind its back
  }
  auto again = PartFile::open(openFolderAt(incoming), plan.root, content.size());
  REQUIRE(again.ok());
  REQUIRE(again->earlierPlan());
  CHECK(again->earlierPlan()->hashes == plan.hashes);
  CHECK_FALSE(again->mayHoldUnknown());
  const auto held = again->begin(*again->earlierPlan(), {});
  REQUIRE(held.ok());
  CHECK(*held == std::vector<std::uint64_t>{2});
}

TEST_CASE("a part is open once: a second fetch of the root is refused, or leaves it alone") {
  TemporaryFolder incoming;
  const std::string content = randomContent(100, 3);
  const auto root = planOf(content).root;
  const auto folder = openFolderAt(incoming);
  auto first = PartFile::open(folder, root, content.size());
  REQUIRE(first.ok());
  const auto second = PartFile::open(folder, root, content.size());
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().code == ErrorCode::failed);
  const auto created = PartFile::create(folder, root);
  REQUIRE(created.ok());
  CHECK_FALSE(created->has_value());
}

TEST_CASE("chunks are served once they are written, and the whole file once it is published") {
  TemporaryFolder incoming;
  const std::string content = randomContent(2 * limits::kChunkBytesMin, 4);
  const auto plan = planOf(content);
  const auto folder = openFolderAt(incoming);
  auto part = PartFile::open(folder, plan.root, content.size());
  REQUIRE(part.ok());
  const auto held = part->begin(plan, {});
  REQUIRE(held.ok());
  const auto partial = std::make_shared<PartialFile>(plan.root, content.size(), "f");
  REQUIRE(part->reportTo(partial, *held).ok());
  CHECK_FALSE(partial->holds(1));
  REQUIRE(part->write(1, bytesOf(plan, content, 1)).ok());
  CHECK(partial->holds(1));
  CHECK_FALSE(partial->holds(0));
  REQUIRE(part->write(0, bytesOf(plan, content, 0)).ok());
  REQUIRE(part->sync().ok());
  const auto published = part->publish(folder->descriptor.get(), "f", false);
  REQUIRE(published.ok());
  CHECK(*published);
  CHECK(partial->unchanged());
  CHECK(readFile(incoming / "f") == content);
  CHECK(namesIn(folder->descriptor.get()).size() == 3);  // ".", ".." and the file
}

TEST_CASE("nothing that exists is replaced unless the caller says so") {
  TemporaryFolder incoming;
  writeFile(incoming / "f", "mine");
  const std::string content = "other";
  const auto plan = planOf(content);
  const auto folder = openFolderAt(incoming);
  auto part = PartFile::open(folder, plan.root, content.size());
  REQUIRE(part.ok());
  REQUIRE(part->begin(plan, {}).ok());
  REQUIRE(part->write(0, bytesOf(plan, content, 0)).ok());
  CHECK(part->publish(folder->descriptor.get(), "f", false).valueOr(true) == false);
  CHECK(readFile(incoming / "f") == "mine");
  CHECK(part->publish(folder->descriptor.get(), "f", true).valueOr(false) == true);
  CHECK(readFile(incoming / "f") == content);
}

TEST_CASE("a pipe in the place of a part or a journal is an error, and is not waited for") {
  const std::string content = randomContent(2 * limits::kChunkBytesMin, 7);
  const auto plan = planOf(content);
  for (const std::string_view ending : {kPartEnding, kJournalEnding}) {
    TemporaryFolder incoming;
    const auto name = toHex(plan.root.view()) + std::string(ending);
    REQUIRE(::mkfifo((incoming / name).string().c_str(), 0600) == 0);
    const auto part = PartFile::open(openFolderAt(incoming), plan.root, content.size());
    REQUIRE_FALSE(part.ok());
    CHECK(part.error().code == ErrorCode::io);
    CHECK(part.error().message.find(name) != std::string::npos);
  }
}

TEST_CASE("a damaged journal never makes a wrong file: what it marks is hashed again") {
  const std::string content = randomContent(3 * limits::kChunkBytesMin, 8);
  const auto plan = planOf(content);
  TemporaryFolder incoming;
  {
    auto part = PartFile::open(openFolderAt(incoming), plan.root, content.size());
    REQUIRE(part.ok());
    REQUIRE(part->begin(plan, {}).ok());
    REQUIRE(part->write(1, bytesOf(plan, content, 1)).ok());
  }
  const auto path = incoming / (toHex(plan.root.view()) + std::string(kJournalEnding));
  const std::string good = readFile(path);
  // Every field of the header, a hash, a mark; too short, too long, and what is no journal.
  std::vector<std::string> damaged{good.substr(0, 20), good + "x", std::string(good.size(), '\0'),
                                   good.substr(0, good.size() - 1)};
  for (const std::size_t at : {0ul, 9ul, 41ul, 49ul, 60ul, good.size() - 1}) {
    damaged.push_back(good);
    damaged.back()[at] = static_cast<char>(damaged.back()[at] ^ 1);
  }
  damaged.push_back(good);
  std::fill(damaged.back().end() - 3, damaged.back().end(), '\1');  // marks what is not there
  for (const auto& text : damaged) {
    writeFile(path, text);
    auto part = PartFile::open(openFolderAt(incoming), plan.root, content.size());
    REQUIRE(part.ok());
    const auto held = part->begin(plan, {});
    REQUIRE(held.ok());
    for (const auto chunk : *held) CHECK(chunk == 1);
  }
}
