// The parts of the indexer, each alone and without its thread: names of shared files, files to
// hash, notices to the user, and snapshots for other threads.
#include "peer/share/file_tracker.h"
#include "peer/share/folder_check.h"
#include "peer/share/inbox.h"
#include "peer/share/publication.h"
#include "peer/share/share_rules.h"
#include "tests/unit/share_fixture.h"

using namespace espalier;
using namespace espalier::share;

namespace {

using Names = std::vector<std::string>;

FileRoot rootNumber(std::uint8_t number) {
  FileRoot root;
  root.bytes[0] = number;
  return root;
}

HashJobPointer jobFor(const std::string& name, std::uint64_t sizeBytes) {
  auto job = std::make_shared<HashJob>();
  job->name = job->relative = name;
  job->folder = "/nowhere";
  job->stat.sizeBytes = sizeBytes;
  return job;
}

// The share itself at /share, the folder /music, and the single file /notes/todo.
FolderTable threeFolders() {
  FolderTable folders;
  folders.open({"", "/share", false}, "/share");
  folders.open({"music", "/music", false}, "/music");
  folders.open({"todo", "/notes", true}, "/notes");
  return folders;
}

// What a FileTracker works on, over an empty share.
struct Tracked {
  TempFolder temp;
  std::vector<std::string> notices;
  Notify notify = [this](const ShareNotice& notice) { notices.push_back(notice.text); };
  ChunkLists lists{temp / "chunks"};
  FolderTable folders;
  Catalogue catalogue;
  Problems problems;
  ScanQueue queue;
  TreeWatch watch{10, 30s, queue, notify};
  HashLanes lanes{1, lists, [] {}};
  HashSchedule schedule{lanes};
  FileTracker files{folders, catalogue, schedule, problems, watch, queue};

  Tracked() { folders.open({"", temp.path(), false}, temp.path().string()); }
  FileStat statOf(const std::string& name) {
    struct stat status {};
    REQUIRE(::stat((temp / name).c_str(), &status) == 0);
    return fileStat(status);
  }
};

}  // namespace

TEST_CASE("a share name belongs to the folder of its first component, and has a path in it") {
  FolderTable folders = threeFolders();
  CHECK(folders.indexOf("music/a/b") == 1);
  CHECK(folders.indexOf("todo") == 2);
  CHECK(folders.indexOf("musical/a") == 0);
  CHECK(folders.pathOf("music/a/b") == "/music/a/b");
  CHECK(folders.pathOf("todo") == "/notes/todo");
  CHECK(folders.pathOf("a") == "/share/a");
  CHECK(folders.pathOf("") == "/share");
  CHECK(folders.isLabel("music"));
  CHECK_FALSE(folders.isLabel("music/a"));

  folders.close(1);
  CHECK(folders.indexOf("music/a/b") == 0);
  CHECK(folders.pathOf("music/a/b") == "/share/music/a/b");
}

TEST_CASE("a path has a name in each open folder above it, and none that another folder took") {
  FolderTable folders = threeFolders();
  folders.open({"all", "/", false}, "/");
  CHECK(folders.namesOf("/music/a") == Names{"music/a", "all/music/a"});
  CHECK(folders.namesOf("/notes/todo") == Names{"todo", "all/notes/todo"});
  CHECK(folders.namesOf("/notes/other") == Names{"all/notes/other"});
  // "music" is the label of /music, so this folder of the share has no name in the share itself.
  CHECK(folders.namesOf("/share/music") == Names{"all/share/music"});
  CHECK(folders.overlaps("/notes"));
  folders.close(3);
  CHECK(folders.namesOf("/share/music").empty());
  CHECK_FALSE(folders.overlaps("/other"));
}

TEST_CASE("the rules apply the user's list to names and paths, and keep it on disk") {
  TempFolder temp;
  FolderTable folders = threeFolders();
  ShareRules rules(folders, temp / "share.json", false);
  REQUIRE(rules.load());
  CHECK(rules.isShared("a"));
  CHECK_FALSE(rules.isShared(".a"));
  ShareList list;
  list.unshared = {"/music/loud"};
  list.hidden = {"private"};
  list.named = {"b/.c"};
  REQUIRE(rules.change(list));
  CHECK(rules.isUnshared("music/loud/x"));
  CHECK(rules.isUnshared("private"));
  CHECK(rules.isShared("b/.c/d"));
  CHECK_FALSE(rules.isShared("b/.e"));
  CHECK(rules.isScanned("b"));

  ShareRules again(folders, temp / "share.json", true);
  REQUIRE(again.load());
  CHECK(again.list() == list);
  CHECK(again.isShared("b/.e"));
}

TEST_CASE("only the job that was submitted last for a name counts") {
  TempFolder temp;
  ChunkLists lists(temp / "chunks");
  HashLanes lanes(1, lists, [] {});
  HashSchedule schedule(lanes);
  const auto first = jobFor("a", 10);
  const auto second = jobFor("a", 20);
  second->attempts = 1;
  schedule.submit(first);
  CHECK(schedule.firstTries() == 1);
  schedule.submit(second);
  CHECK(first->cancelled);
  CHECK(schedule.jobs().size() == 1);
  CHECK(schedule.jobBytes() == 20);
  CHECK(schedule.firstTries() == 0);
  CHECK_FALSE(schedule.finish(first));
  CHECK(schedule.finish(second));
  CHECK_FALSE(schedule.contains("a"));
  CHECK(schedule.jobBytes() == 0);
}

TEST_CASE("retries are due in order of time, and only brought forward") {
  TempFolder temp;
  ChunkLists lists(temp / "chunks");
  HashLanes lanes(1, lists, [] {});
  HashSchedule schedule(lanes);
  const TimePoint start{1h};
  schedule.retryAt("a", start + 10s, 0);
  schedule.retryAt("d/b", start + 5s, 2);
  CHECK(schedule.nextDue() == start + 5s);
  CHECK_FALSE(schedule.dueName(start));
  CHECK(schedule.dueName(start + 5s) == "d/b");
  schedule.retryBy("d/b", start + 20s);
  CHECK(schedule.nextDue() == start + 5s);
  schedule.retryBy("a", start + 1s);
  CHECK(schedule.dueName(start + 5s) == "a");
  CHECK(schedule.retry("d/b")->attempts == 2);
  CHECK(schedule.firstTries() == 1);
  CHECK(schedule.namesBelow("d") == Names{"d/b"});
  schedule.dropRetry("a");
  schedule.dropRetry("d/b");
  CHECK(schedule.nextDue() == kNever);
  CHECK(schedule.firstTries() == 0);
}

TEST_CASE("a file that was written a moment ago waits, and an empty one is shared at once") {
  Tracked tracked;
  write(tracked.temp / "empty", "");
  write(tracked.temp / "fresh", "content");
  tracked.files.consider("empty", 0, tracked.statOf("empty"));
  tracked.files.consider("fresh", 0, tracked.statOf("fresh"));
  CHECK(tracked.catalogue.current("empty") != nullptr);
  CHECK(tracked.catalogue.current("fresh") == nullptr);
  REQUIRE(tracked.schedule.retry("fresh") != nullptr);
  CHECK(tracked.schedule.retry("fresh")->attempts == 0);

  // Once its times are older it is hashed; here its hash is remembered.
  tracked.catalogue.remember({tracked.statOf("fresh"), rootNumber(1)});
  tracked.files.consider("fresh", 0, tracked.statOf("fresh"));
  CHECK(tracked.catalogue.current("fresh")->root == rootNumber(1));
  CHECK_FALSE(tracked.schedule.contains("fresh"));
}

TEST_CASE(
    "a file that cannot be read is reported once, tried again later, and reported when it can") {
  Tracked tracked;
  tracked.files.lose("d/a", EACCES);
  tracked.files.lose("d/a", EACCES);
  tracked.problems.tell(tracked.notify);
  CHECK(tracked.notices.size() == 1);
  REQUIRE(tracked.schedule.retry("d/a") != nullptr);
  CHECK(tracked.schedule.retry("d/a")->attempts == 2);
  tracked.files.accept("d/a", 0, {1, 2, 3}, rootNumber(1));
  CHECK_FALSE(tracked.files.isUnreadable("d/a"));
  tracked.problems.tell(tracked.notify);
  REQUIRE(tracked.notices.size() == 2);
  CHECK(tracked.notices[1] == "d/a: can be read again");

  // The end of descriptors says nothing of the file, and a file that is gone is no news.
  tracked.files.lose("d/a", EMFILE);
  CHECK(tracked.catalogue.current("d/a") != nullptr);
  CHECK(tracked.queue.rescan() != kNever);
  tracked.files.lose("d/a", ENOENT);
  CHECK(tracked.catalogue.current("d/a") == nullptr);
  tracked.problems.tell(tracked.notify);
  CHECK(tracked.notices.size() == 2);
}

TEST_CASE("a shared folder is scanned when it appears, and forgotten when it is gone") {
  Tracked tracked;
  FolderCheck check(tracked.folders, tracked.files, tracked.queue, tracked.notify);
  check.check();
  CHECK(tracked.folders.isPresent(0));
  CHECK(tracked.queue.takeFolder() == "");
  tracked.files.accept("a", 0, {1, 2, 3}, rootNumber(1));

  const fs::path elsewhere = tracked.temp.path().string() + ".moved";
  fs::rename(tracked.temp.path(), elsewhere);
  check.check();
  CHECK_FALSE(tracked.folders.isPresent(0));
  CHECK(tracked.catalogue.files() == 0);
  check.check();
  CHECK(tracked.notices.size() == 1);
  fs::rename(elsewhere, tracked.temp.path());
  check.check();
  CHECK(tracked.folders.isPresent(0));
  check.found(0);
  REQUIRE(tracked.notices.size() == 2);
  CHECK(tracked.notices[1].ends_with("is there again"));
}

TEST_CASE("a refused watch makes scans at an interval, until a scan without a refusal") {
  TempFolder temp;
  std::vector<std::string> notices;
  const Notify notify = [&](const ShareNotice& notice) { notices.push_back(notice.text); };
  ScanQueue queue;
  TreeWatch watch(1, 30s, queue, notify);
  fs::create_directory(temp / "a");
  const FileDescriptor top(::open(temp.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const FileDescriptor below(::open((temp / "a").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  watch.add("", top.get());
  CHECK(queue.rescan() == kNever);
  watch.add("a", below.get());
  CHECK(queue.rescan() != kNever);
  CHECK(notices.size() == 1);
  watch.beginRescan();
  watch.add("a", below.get());
  watch.endRescan();
  CHECK(notices.size() == 1);

  watch.dropNames([](const std::string&) { return true; });
  watch.read(Clock::now() + 1s, [](const WatchEvent&) {});  // The kernel confirms the removal.
  watch.beginRescan();
  watch.add("a", below.get());
  watch.endRescan();
  CHECK(notices.size() == 2);
  CHECK(queue.rescan() == kNever);
}

TEST_CASE("the inbox is bounded: commands are refused, and names become a scan of everything") {
  Inbox inbox;
  for (std::size_t i = 0; i < limits::kShareCommands; ++i) CHECK(inbox.post([] {}));
  CHECK_FALSE(inbox.post([] {}));
  for (std::size_t i = 0; i < limits::kPostedNames; ++i) inbox.lookAgain(std::to_string(i));
  inbox.recheck(rootNumber(1));
  inbox.recheck(rootNumber(1));
  auto requests = inbox.take();
  CHECK(requests.commands.size() == limits::kShareCommands);
  CHECK(requests.names.size() == limits::kPostedNames);
  CHECK_FALSE(requests.everything);
  CHECK(requests.rechecks.size() == 1);
  CHECK(inbox.take().names.empty());

  for (std::size_t i = 0; i <= limits::kPostedNames; ++i) inbox.lookAgain(std::to_string(i));
  CHECK(inbox.take().everything);
}

TEST_CASE("a ticket is published once the indexer is at rest") {
  Publication publication;
  Catalogue catalogue;
  const auto folders = std::make_shared<const SharedFolders>(1);
  const auto ticket = publication.nextTicket();
  const auto isPublished = [&](auto&, const IndexingProgress& now) {
    return now.publishedTicket >= ticket;
  };
  catalogue.put({"a", {1, 2, 3}, rootNumber(1), 0});
  publication.publish(catalogue, folders);
  publication.update({}, false);
  CHECK(publication.snapshot()->size() == 1);
  CHECK_FALSE(publication.wait(0ms, isPublished));
  publication.update({}, true);
  CHECK(publication.wait(0ms, isPublished));
}
