// A shared library that is opened when something first needs it. CUDA's are hundreds of megabytes
// and have to be fitted to their addresses when they are loaded, which a run on the CPU should not
// wait for.
#pragma once

#include <dlfcn.h>

#include <string>

#include "core/error.h"

namespace heed {

/// Never closed.
class SharedLibrary {
 public:
  /// A place in the library that takes the type of the function pointer it is given to.
  struct Symbol {
    void* address;
    template <class F>
    operator F*() const {  // NOLINT(google-explicit-constructor)
      return reinterpret_cast<F*>(address);
    }
  };

  /// Opens `name` where the system's loader finds it (LD_LIBRARY_PATH, ldconfig), else in `folder`.
  /// Where it can be opened in neither, an Error says what the loader found wrong in each, and that
  /// `install` ("NCCL 2") is to be installed.
  SharedLibrary(const std::string& name, const std::string& folder, const std::string& install)
      : name_(name), install_(install), handle_(dlopen(name.c_str(), kHow)) {
    if (handle_ != nullptr) return;
    const std::string where_the_system_looks = reason();
    handle_ = dlopen((folder + "/" + name).c_str(), kHow);
    if (handle_ == nullptr) {
      fail(
          "{} cannot be opened where the system looks ({}) nor in {} ({}): install {}, or name its "
          "folder in LD_LIBRARY_PATH",
          name_, where_the_system_looks, folder, reason(), install_);
    }
  }

  /// The function of that name. An Error where the library has none, as one of another version may.
  Symbol find(const char* function) const {
    void* address = dlsym(handle_, function);
    if (address == nullptr) {
      fail("{} has no function {} ({}): it is of another version; install {}", name_, function,
           reason(), install_);
    }
    return {address};
  }

 private:
  static constexpr int kHow = RTLD_NOW | RTLD_LOCAL;

  /// The loader's words for what failed last.
  static std::string reason() {
    const char* said = dlerror();
    return said == nullptr ? "no reason given" : said;
  }

  std::string name_, install_;
  void* handle_;
};

}  // namespace heed
