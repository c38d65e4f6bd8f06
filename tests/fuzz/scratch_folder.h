// A folder for the files of a fuzz target, in memory if the machine has /dev/shm. It is removed at
// the end of the process.
#pragma once

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "common/base/fs.h"
#include "tests/fuzz/fuzz.h"

namespace espalier::fuzz {

class ScratchFolder {
 public:
  ScratchFolder() {
    boost::system::error_code ignored;
    const fs::path memory = "/dev/shm";
    const auto in = fs::is_directory(memory, ignored) ? memory : fs::temp_directory_path();
    path_ = (in / "espalier-fuzz-XXXXXX").string();
    require(::mkdtemp(path_.data()) != nullptr, "mkdtemp");
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    boost::system::error_code ignored;
    fs::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  void write(const std::string& name, std::string_view bytes) const {
    std::ofstream file(path_ + "/" + name, std::ios::binary | std::ios::trunc);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    file.close();
    require(file.good(), "a scratch file was written");
  }
  std::string read(const std::string& name) const {
    std::ifstream file(path_ + "/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void remove(const std::string& name) const {
    boost::system::error_code ignored;
    fs::remove(path_ + "/" + name, ignored);
  }

 private:
  std::string path_;
};

}  // namespace espalier::fuzz
