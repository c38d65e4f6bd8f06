// The fixture of the tests of the share: temporary folders, and a share with an index that can be
// restarted. Each wait has a condition, and a deadline that only a failing test reaches.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/crypto/file_tree.h"
#include "peer/share/share_index.h"

namespace espalier::share {

using namespace std::chrono_literals;

inline constexpr auto kDeadline = 60s;

class TempFolder {
 public:
  TempFolder() {
    std::string name = (fs::temp_directory_path() / "share_test_XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = fs::canonical(name);
  }
  ~TempFolder() {
    boost::system::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }
  fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

inline std::string filled(std::size_t size, char seed) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) {
    text[i] = static_cast<char>(static_cast<std::size_t>(seed) + i * 31 + (i >> 9));
  }
  return text;
}

inline void write(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file.string(), std::ios::binary) << text;
}

inline FileRoot rootOf(const std::string& text) {
  crypto::FileHasher hasher(text.size());
  hasher.update(std::as_bytes(std::span(text)));
  return hasher.finish().root;
}

// A share in a temporary folder, and its index.
class Sharer {
 public:
  Sharer() : Sharer([](ShareOptions&) {}) {}
  explicit Sharer(std::function<void(ShareOptions&)> change) : change_(std::move(change)) {
    fs::create_directory(share());
  }
  fs::path share() const { return temp / "s1"; }
  fs::path outside() const { return temp / "outside"; }

  ShareIndex& start() {
    index_.reset();
    ShareOptions options;
    options.root = share();
    options.stateFolder = share() / ".espalier";
    options.lanes = 2;
    options.onNotice = [this](const ShareNotice& notice) {
      const std::lock_guard lock(mutex_);
      notices_.push_back(notice.text);
      told_.notify_all();
    };
    change_(options);
    index_ = std::make_unique<ShareIndex>(std::move(options));
    return *index_;
  }
  ShareIndex& startAndWait() {
    start();
    waitReady();
    return *index_;
  }
  void stop() { index_.reset(); }
  ShareIndex& index() { return *index_; }

  void waitReady() {
    REQUIRE(index_->wait(kDeadline, [](auto&, const IndexingProgress& now) { return now.ready; }));
  }
  void waitFor(const std::function<bool(const Snapshot&)>& enough) {
    REQUIRE(index_->wait(kDeadline, [&](const Snapshot& now, auto&) { return enough(now); }));
  }
  void waitForNames(std::vector<std::string> names) {
    std::ranges::sort(names);
    index_->wait(kDeadline, [&](const Snapshot& now, auto&) { return namesOf(now) == names; });
    CHECK(this->names() == names);
  }
  void waitForContent(const std::string& name, const std::string& text) {
    const auto root = rootOf(text);
    waitFor([&](const Snapshot& now) {
      const Entry* entry = now.find(name);
      return entry != nullptr && entry->root == root;
    });
  }
  void waitForNotice(const std::string& part) {
    std::unique_lock lock(mutex_);
    CHECK_MESSAGE(told_.wait_for(lock, kDeadline, [&] { return hasNotice(part); }), part);
  }
  bool noticed(const std::string& part) {
    const std::lock_guard lock(mutex_);
    return hasNotice(part);
  }
  bool hasNotice(const std::string& part) const {
    return std::ranges::any_of(notices_, [&](auto& text) { return text.find(part) != text.npos; });
  }
  static std::vector<std::string> namesOf(const Snapshot& snapshot) {
    std::vector<std::string> names;
    for (const auto& entry : snapshot.entries()) names.push_back(entry->name);
    return names;
  }
  std::vector<std::string> names() { return namesOf(*index_->snapshot()); }

  TempFolder temp;

 private:
  std::function<void(ShareOptions&)> change_;
  std::mutex mutex_;
  std::condition_variable told_;
  std::vector<std::string> notices_;
  std::unique_ptr<ShareIndex> index_;
};

inline void setMtime(const fs::path& file, std::int64_t seconds) {
  const timespec times[2] = {{seconds, 0}, {seconds, 0}};
  REQUIRE(::utimensat(AT_FDCWD, file.c_str(), times, 0) == 0);
}

// While it exists, the modes of files apply to this thread and threads that it starts, even for
// root.
class WithoutOverride {
 public:
  WithoutOverride() {
    REQUIRE(::syscall(SYS_capget, &header_, before_.data()) == 0);
    auto without = before_;
    without[0].effective &= ~(1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH);
    REQUIRE(::syscall(SYS_capset, &header_, without.data()) == 0);
  }
  ~WithoutOverride() { ::syscall(SYS_capset, &header_, before_.data()); }
  WithoutOverride(const WithoutOverride&) = delete;
  WithoutOverride& operator=(const WithoutOverride&) = delete;

 private:
  __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> before_{};
};

}  // namespace espalier::share
