// Pictures with words about them: conversations or captions in JSON lines, or made by rules. What
// is asked and what is answered are kept apart, since only answers are learnt.
//
//   {"image": "cat.jpg", "text": "a cat"}                                  a caption
//   {"image": "cat.jpg", "conversations": [{"from": "human", "value": "<image>\nWhat is this?"},
//                                          {"from": "gpt", "value": "A cat."}]}      as LLaVA has
//                                          it
//   {"image": "cat.jpg", "messages": [{"role": "user", "content": ...}, {"role": "assistant",
//   ...}]}
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "data/example_tokenizer.h"
#include "data/hold_out.h"
#include "data/image.h"
#include "data/labelled_dataset.h"
#include "data/procedural_scenes.h"

namespace heed::data {

/// Where a picture stands in what the user says; without it, in front.
inline constexpr std::string_view kImageMark = "<image>";

struct Turn {
  std::string user, answer;

  bool operator==(const Turn&) const = default;
};

/// What every dataset of pictures and words takes.
struct ImageTextCommon {
  ExampleTokenizerOptions tokenizer = {.type = "chars"};
  std::string format = "{}";
  std::string processor;
  bool blind = false;
  void options(Options& o);
};

struct ImageTextFileOptions {
  std::vector<std::string> train, validation, test;
  std::string images;
  HoldOutOptions held_out;
  ImageTextCommon common;
  void options(Options& o);
};

struct ShapeCaptionOptions {
  int64_t size = 32;
  int64_t figures = 1;
  ProceduralParts parts;
  ImageTextCommon common;
  void options(Options& o);
};

class ImageTexts {
 public:
  virtual ~ImageTexts() = default;

  virtual int64_t size(Part part) const = 0;
  /// Of an example: one turn or more, the first of which the picture belongs to.
  virtual const std::vector<Turn>& turns(Part part, int64_t example) const = 0;
  /// Its picture, with 3 channels. A RequestError for a file that cannot be read.
  virtual ByteImage picture(Part part, int64_t example) const = 0;

  const ImageTextCommon& common() const { return common_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  /// What the user says as the model reads it: in the place of {} in `format`.
  std::string asked(const std::string& user) const;

 protected:
  explicit ImageTexts(ImageTextCommon common) : common_(std::move(common)) {}
  /// Once the examples are there: makes the tokenizer from their texts.
  void make_tokenizer(const SourceLocation& where);

 private:
  ImageTextCommon common_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

/// `format` with the user's words in the place of {}.
std::string in_format(const std::string& format, const std::string& user);

/// The turns of a line's object; a RequestError names what is wrong with it, with its place: none
/// of `text`, `conversations` and `messages`, a turn out of order, a second picture.
std::vector<Turn> read_turns(const Config& line);

/// JSON lines; a relative picture's name begins at `images`, or at the folder of its file.
std::unique_ptr<ImageTexts> open_image_texts(const ImageTextFileOptions& options,
                                             const SourceLocation& where = {});

struct ShapeCaption {
  ByteImage image;
  std::string text;  ///< "a red disc", "a red disc left of a blue ring"
};

/// The picture `index` of a part, a function of (options, part, index) alone: one or two of six
/// figures, each in one of six colours, on a dark ground.
ShapeCaption shape_caption(const ShapeCaptionOptions& options, Part part, int64_t index);
std::unique_ptr<ImageTexts> open_shape_captions(const ShapeCaptionOptions& options,
                                                const SourceLocation& where = {});

}  // namespace heed::data
