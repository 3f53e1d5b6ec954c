/* The vector registers behind host_simd_read and host_simd_write, as an array. */
#pragma once

#include <stdint.h>

extern uint8_t fake_simd[16][32];
extern uint8_t fake_mmx[8][8];
