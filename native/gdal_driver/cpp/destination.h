// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Where the pixels of a read go: what Rust knows of a caller's memory and of its wish to go on.

#ifndef STFUSION_GDAL_DRIVER_DESTINATION_H
#define STFUSION_GDAL_DRIVER_DESTINATION_H

#include <cstddef>
#include <cstdint>

#include "rust/cxx.h"

namespace stfusion {

/// Called on the thread that reads.
class Destination {
  public:
    virtual ~Destination() = default;

    /// Takes band `band` (counted from 0) of the rectangle of `rows` x `cols` pixels at (`row`, `col`): stored values,
    /// row by row.
    virtual void take(std::size_t band, std::size_t row, std::size_t col, std::size_t rows, std::size_t cols,
                      rust::Slice<const std::uint8_t> values) noexcept = 0;

    /// Told the finished fraction (0 to 1); returns whether to go on.
    virtual bool goes_on(double fraction) noexcept = 0;
};

} // namespace stfusion

#endif
