// SQLite's files on a disk that fails when a test says so, and that tells what is done to it. While
// it exists it is below every database that is opened.
#pragma once

#include <doctest/doctest.h>
#include <sqlite3.h>

#include <atomic>
#include <functional>
#include <map>

#include "common/base/guarded.h"

namespace espalier::test {

class FailingDisk {
 public:
  // remove: without a sync of the folder; of no file.
  enum class Does { write, truncate, sync, remove };

  FailingDisk() {
    REQUIRE(current() == nullptr);
    system_ = ::sqlite3_vfs_find(nullptr);
    mine_ = *system_;
    mine_.zName = "failing disk";
    mine_.xOpen = &FailingDisk::open;
    mine_.xDelete = &FailingDisk::remove;
    mine_.pNext = nullptr;
    current() = this;
    REQUIRE(::sqlite3_vfs_register(&mine_, 1) == SQLITE_OK);
  }
  FailingDisk(const FailingDisk&) = delete;
  FailingDisk& operator=(const FailingDisk&) = delete;
  // Its databases must be closed by then.
  ~FailingDisk() {
    ::sqlite3_vfs_unregister(&mine_);
    current() = nullptr;
  }

  std::atomic<int> writeFails{SQLITE_OK};  // with this code
  std::atomic<int> syncFails{SQLITE_OK};
  std::atomic<bool> makesNoFile{false};  // as in a folder that is read-only
  std::atomic<int> failed{0};
  std::function<void(sqlite3_file*, Does)> before;  // set while no other thread writes

 private:
  struct Methods {
    sqlite3_io_methods failing;
    const sqlite3_io_methods* system;
  };

  static FailingDisk*& current() {
    static FailingDisk* disk = nullptr;
    return disk;
  }

  static int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* outFlags) {
    FailingDisk& disk = *current();
    if (disk.makesNoFile && (flags & SQLITE_OPEN_MAIN_DB) == 0) {
      ++disk.failed;
      file->pMethods = nullptr;
      return SQLITE_CANTOPEN;
    }
    const int code = disk.system_->xOpen(disk.system_, name, file, flags, outFlags);
    if (code != SQLITE_OK || file->pMethods == nullptr) return code;
    // The system has a table of functions for each way of locking.
    const Methods* mine = disk.methods_.with([&](auto& all) {
      const auto [entry, isNew] = all.try_emplace(file->pMethods);
      if (isNew) entry->second = failingLike(file->pMethods);
      return &entry->second;
    });
    file->pMethods = &mine->failing;
    return code;
  }
  static int remove(sqlite3_vfs*, const char* name, int syncsFolder) {
    FailingDisk& disk = *current();
    if (syncsFolder == 0) (void)disk.begin(nullptr, Does::remove, SQLITE_OK);
    return disk.system_->xDelete(disk.system_, name, syncsFolder);
  }
  static Methods failingLike(const sqlite3_io_methods* system) {
    Methods methods{*system, system};
    methods.failing.xWrite = &FailingDisk::write;
    methods.failing.xTruncate = &FailingDisk::truncate;
    methods.failing.xSync = &FailingDisk::sync;
    return methods;
  }
  static const sqlite3_io_methods& system(const sqlite3_file* file) {
    return *reinterpret_cast<const Methods*>(file->pMethods)->system;  // its first member
  }
  int begin(sqlite3_file* file, Does what, int code) {
    if (before) before(file, what);
    if (code != SQLITE_OK) ++failed;
    return code;
  }
  static int write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 at) {
    FailingDisk& disk = *current();
    const int code = disk.begin(file, Does::write, disk.writeFails);
    return code != SQLITE_OK ? code : system(file).xWrite(file, bytes, size, at);
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    FailingDisk& disk = *current();
    (void)disk.begin(file, Does::truncate, SQLITE_OK);
    return system(file).xTruncate(file, size);
  }
  static int sync(sqlite3_file* file, int flags) {
    FailingDisk& disk = *current();
    const int code = disk.begin(file, Does::sync, disk.syncFails);
    return code != SQLITE_OK ? code : system(file).xSync(file, flags);
  }

  sqlite3_vfs* system_ = nullptr;
  sqlite3_vfs mine_{};
  Guarded<std::map<const sqlite3_io_methods*, Methods>> methods_;
};

}  // namespace espalier::test
