/*
 * SHA-256 (FIPS 180-4, "SHA-256"), for the digests that the loader compares files with. Pure.
 */
#pragma once

#include "hv/types.h"

enum { SHA256_SIZE = 32, SHA256_BLOCK = 64 };

void sha256(uint8_t digest[SHA256_SIZE], const void *data, uint64_t size);
