// libjpeg reports errors by a callback that must not return. It is C, so no exception may pass
// through it: the callback jumps back into functions here that hold nothing to destroy, and their
// callers throw.
#include "data/jpeg.h"

#include <jpeglib.h>

#include <csetjmp>
#include <cstdlib>

#include "core/error.h"
#include "data/image_codec.h"

namespace heed::data {
namespace {

struct Handler {
  jpeg_error_mgr base;
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void on_error(j_common_ptr info) {
  auto* handler = reinterpret_cast<Handler*>(info->err);
  info->err->format_message(info, handler->message);
  std::longjmp(handler->jump, 1);
}

// Warnings are what libjpeg calls damage that it can paint over: here, damage is an error.
void on_message(j_common_ptr info, int level) {
  if (level < 0) on_error(info);
}

void set_up(Handler* handler, jpeg_error_mgr** slot) {
  *slot = jpeg_std_error(&handler->base);
  handler->base.error_exit = on_error;
  handler->base.emit_message = on_message;
  handler->message[0] = '\0';
}

struct Decoder {
  jpeg_decompress_struct info{};
  Handler handler{};
  ~Decoder() { jpeg_destroy_decompress(&info); }
};

bool read_header(Decoder* decoder, const unsigned char* data, size_t size) {
  if (setjmp(decoder->handler.jump) != 0) return false;
  jpeg_create_decompress(&decoder->info);
  jpeg_mem_src(&decoder->info, data, static_cast<unsigned long>(size));
  jpeg_read_header(&decoder->info, TRUE);
  return true;
}

bool read_pixels(Decoder* decoder, unsigned char* out, size_t row_bytes) {
  if (setjmp(decoder->handler.jump) != 0) return false;
  jpeg_start_decompress(&decoder->info);
  while (decoder->info.output_scanline < decoder->info.output_height) {
    JSAMPROW row = out + decoder->info.output_scanline * row_bytes;
    jpeg_read_scanlines(&decoder->info, &row, 1);
  }
  jpeg_finish_decompress(&decoder->info);
  return true;
}

struct Encoder {
  jpeg_compress_struct info{};
  Handler handler{};
  unsigned char* data = nullptr;  // libjpeg's, by malloc
  unsigned long size = 0;
  ~Encoder() {
    jpeg_destroy_compress(&info);
    std::free(data);
  }
};

bool write_pixels(Encoder* encoder, const ByteImage* image, int quality) {
  if (setjmp(encoder->handler.jump) != 0) return false;
  jpeg_create_compress(&encoder->info);
  jpeg_mem_dest(&encoder->info, &encoder->data, &encoder->size);
  encoder->info.image_width = static_cast<JDIMENSION>(image->width);
  encoder->info.image_height = static_cast<JDIMENSION>(image->height);
  encoder->info.input_components = static_cast<int>(image->channels);
  encoder->info.in_color_space = image->channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
  jpeg_set_defaults(&encoder->info);
  jpeg_set_quality(&encoder->info, quality, TRUE);
  jpeg_start_compress(&encoder->info, TRUE);
  while (encoder->info.next_scanline < encoder->info.image_height) {
    auto* row = const_cast<JSAMPROW>(image->at(encoder->info.next_scanline, 0));
    jpeg_write_scanlines(&encoder->info, &row, 1);
  }
  jpeg_finish_compress(&encoder->info);
  return true;
}

}  // namespace

ByteImage decode_jpeg(std::span<const std::byte> bytes, const std::string& name, int64_t channels) {
  Decoder decoder;
  set_up(&decoder.handler, &decoder.info.err);
  if (!read_header(&decoder, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size())) {
    fail_request(SourceLocation{name},
                 fmt::format("not a readable JPEG: {}", decoder.handler.message));
  }
  jpeg_decompress_struct& info = decoder.info;
  check_image_size(info.image_height, info.image_width, name);
  if (info.num_components == 4) {
    fail_request(SourceLocation{name}, "JPEG with four channels (CMYK) is not read");
  }
  if (channels == 0) channels = info.num_components == 1 ? 1 : 3;
  info.out_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  ByteImage out(info.image_height, info.image_width, channels);
  if (!read_pixels(&decoder, out.values.data(), static_cast<size_t>(out.width * channels))) {
    fail_request(SourceLocation{name}, fmt::format("damaged JPEG: {}", decoder.handler.message));
  }
  return out;
}

std::string encode_jpeg(const ByteImage& image, int quality) {
  HEED_CHECK(image.channels == 1 || image.channels == 3, "encode_jpeg: {} channels",
             image.channels);
  HEED_CHECK(quality >= 1 && quality <= 100, "encode_jpeg: quality {}", quality);
  Encoder encoder;
  set_up(&encoder.handler, &encoder.info.err);
  if (!write_pixels(&encoder, &image, quality)) fail("encode_jpeg: {}", encoder.handler.message);
  return {reinterpret_cast<const char*>(encoder.data), encoder.size};
}

}  // namespace heed::data
