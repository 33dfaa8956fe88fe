#include "data/image_texts.h"

#include <array>
#include <filesystem>

#include "core/files.h"
#include "core/json_lines.h"
#include "data/image_codec.h"
#include "data/text_source.h"

namespace heed::data {
namespace {

namespace fs = std::filesystem;

// What the two layouts of a conversation call things.
struct Layout {
  const char* list;
  const char* who;
  const char* what;
  const char* user;
  const char* answer;
};
constexpr std::array kLayouts = {Layout{"conversations", "from", "value", "human", "gpt"},
                                 Layout{"messages", "role", "content", "user", "assistant"}};

std::vector<Turn> turns_in(const Config& list, const Layout& layout) {
  std::vector<Turn> turns;
  bool asks = true;
  for (const Config& part : list.as_list()) {
    const Config& who = part.at(layout.who);
    const char* wanted = asks ? layout.user : layout.answer;
    if (who != Config(wanted)) {
      fail_request(who.where(),
                   fmt::format("a turn of '{}', where '{}' comes next", who.as_string(), wanted));
    }
    const std::string& said = part.at(layout.what).as_string();
    if (asks) turns.push_back({said, ""});
    if (!asks) turns.back().answer = said;
    asks = !asks;
  }
  if (!asks) turns.pop_back();  // a question that nobody answered
  if (turns.empty()) fail_request(list.where(), "a conversation without an answer");
  return turns;
}

void check_marks(const std::vector<Turn>& turns, const SourceLocation& where) {
  for (size_t i = 0; i < turns.size(); ++i) {
    const size_t first = turns[i].user.find(kImageMark);
    if (first == std::string::npos) continue;
    if (i > 0) fail_request(where, "the picture stands in the first turn, this one is a later one");
    if (turns[i].user.find(kImageMark, first + 1) != std::string::npos) {
      fail_request(where, "a turn speaks of several pictures; there is one");
    }
  }
}

class FileImageTexts : public ImageTexts {
 public:
  FileImageTexts(const ImageTextFileOptions& options, const SourceLocation& where)
      : ImageTexts(options.common) {
    parts_[0] = read(options.train, options, where);
    parts_[1] = read(options.validation, options, where);
    parts_[2] = read(options.test, options, where);
    hold_out(parts_[0], parts_[1], parts_[2], options.held_out);
    make_tokenizer(where);
  }

  int64_t size(Part part) const override { return std::ssize(of(part)); }
  const std::vector<Turn>& turns(Part part, int64_t example) const override {
    return of(part)[static_cast<size_t>(example)].turns;
  }
  ByteImage picture(Part part, int64_t example) const override {
    const std::string& path = of(part)[static_cast<size_t>(example)].image;
    const MappedFile bytes(path);
    return decode_image(bytes.bytes(), path, 3, Transparency::over_white);
  }

 private:
  struct Example {
    std::string image;
    std::vector<Turn> turns;
  };

  const std::vector<Example>& of(Part part) const { return parts_[static_cast<size_t>(part)]; }

  static std::vector<Example> read(const std::vector<std::string>& patterns,
                                   const ImageTextFileOptions& options,
                                   const SourceLocation& where) {
    std::vector<Example> examples;
    if (patterns.empty()) return examples;
    for (const std::string& path : find_text_files(patterns, where)) {
      const fs::path folder = options.images.empty() ? fs::path(path).parent_path()
                                                     : fs::path(expand_path(options.images, where));
      const std::string text = read_file(path);
      int number = 0;
      for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find('\n', at), text.size());
        const std::string line = text.substr(at, end - at);
        at = end + 1;
        ++number;
        if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
        const Config object = parse_json_line(line, path, number);
        examples.push_back(
            {(folder / object.at("image").as_string()).string(), read_turns(object)});
      }
    }
    return examples;
  }

  std::vector<Example> parts_[3];
};

}  // namespace

void ImageTextCommon::options(Options& o) {
  o.field("tokenizer", tokenizer, "how text becomes tokens");
  o.field("format", format,
          "what the user says as the model reads it, in the place of {}; the answer follows");
  o.field("processor", processor,
          "a preprocessor_config.json, or a run that has one: how a picture is resized, cut and "
          "normalised; CLIP's way where empty");
  o.field("blind", blind, "hide the pictures, for a control: every one is grey");
  o.check(format.find("{}") != std::string::npos, "format", "format has no place {} for the words");
}

void ImageTextFileOptions::options(Options& o) {
  o.field("train", train,
          "JSON lines: `image` with `text`, or with `conversations` or `messages`; files or glob "
          "patterns, ${NAME} is an environment variable",
          {.required = true});
  o.field("validation", validation, "files of the validation part");
  o.field("test", test, "files of the test part");
  o.field("images", images, "where the pictures' names begin; empty: at the folder of their file");
  held_out.options(o);
  common.options(o);
}

std::string in_format(const std::string& format, const std::string& user) {
  std::string text = format;
  text.replace(text.find("{}"), 2, user);
  return text;
}

std::string ImageTexts::asked(const std::string& user) const {
  return in_format(common_.format, user);
}

void ImageTexts::make_tokenizer(const SourceLocation& where) {
  std::vector<std::string> texts[2];  // of training, and held out
  for (const Part part : {Part::train, Part::validation, Part::test}) {
    for (int64_t i = 0; i < size(part); ++i) {
      for (const Turn& turn : turns(part, i)) {
        auto& own = texts[part == Part::train ? 0 : 1];
        std::string asks = asked(turn.user);
        if (const size_t mark = asks.find(kImageMark); mark != std::string::npos) {
          asks.erase(mark, kImageMark.size());
        }
        own.push_back(std::move(asks));
        own.push_back(turn.answer);
      }
    }
  }
  if (texts[0].empty()) fail_request(where, "there are no pictures to train on");
  const std::vector<std::string_view> train(texts[0].begin(), texts[0].end()),
      others(texts[1].begin(), texts[1].end());
  tokenizer_ = make_example_tokenizer(common_.tokenizer, train, others, where);
}

std::vector<Turn> read_turns(const Config& line) {
  std::vector<Turn> turns;
  for (const Layout& layout : kLayouts) {
    const Config* list = line.find(layout.list);
    if (list != nullptr && turns.empty()) turns = turns_in(*list, layout);
  }
  if (const Config* text = line.find("text"); text != nullptr && turns.empty()) {
    turns.push_back({"", text->as_string()});
  }
  if (turns.empty()) {
    fail_request(line.where(), "a line has `text`, `conversations` or `messages`; this has none");
  }
  check_marks(turns, line.where());
  return turns;
}

std::unique_ptr<ImageTexts> open_image_texts(const ImageTextFileOptions& options,
                                             const SourceLocation& where) {
  return std::make_unique<FileImageTexts>(options, where);
}

}  // namespace heed::data
