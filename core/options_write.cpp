#include "core/options_visitor.h"

namespace heed::detail {
namespace {

// Writes the fields into a map.
class Writer : public OptionsOf<Writer> {
 public:
  Writer() { open_.push_back({"", Config::map()}); }
  Config take() { return std::move(open_.front().value); }

  template <class T>
  void value(const char* name, T& value, const char*, const Rule&) {
    put(name, to_config(value));
  }
  void check(bool, const char*, const std::string&) override {}

 protected:
  void enter(const char* name, const char*, const Rule&) override {
    open_.push_back({name, Config::map()});
  }
  void leave() override {
    Open done = std::move(open_.back());
    open_.pop_back();
    put(done.name, std::move(done.value));
  }
  Items enter_list(const char* name, const char*, size_t*) override {
    open_.push_back({name, Config::list()});
    return Items::visit;
  }
  void enter_item() override { open_.push_back({"", Config::map()}); }
  void leave_list() override { leave(); }

 private:
  struct Open {
    std::string name;
    Config value;
  };

  void put(const std::string& name, Config value) {
    Config& into = open_.back().value;
    if (into.is_list()) {
      into.append(std::move(value));
    } else {
      into.set(name, std::move(value));
    }
  }

  std::vector<Open> open_;
};

}  // namespace

Config write_fields(const std::function<void(Options&)>& fields) {
  Writer writer;
  fields(writer);
  return writer.take();
}

}  // namespace heed::detail
