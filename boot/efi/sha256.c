/*
 * SHA-256; see sha256.h. Names are the standard's (FIPS 180-4, "Functions", "SHA-256").
 */
#include "boot/efi/sha256.h"
#include "hv/lib/string.h"

enum { ROUNDS = 64, LENGTH_SIZE = 8 };

// clang-format off
static const uint32_t K[ROUNDS] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
// clang-format on

static uint32_t rotr(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

static uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_be32(uint8_t *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++) {
		p[i] = (uint8_t)(v >> (24 - 8 * i));
	}
}

static void schedule(uint32_t W[ROUNDS], const uint8_t *block)
{
	for (unsigned t = 0; t < 16; t++) {
		W[t] = get_be32(block + 4 * t);
	}
	for (unsigned t = 16; t < ROUNDS; t++) {
		uint32_t s0 = rotr(W[t - 15], 7) ^ rotr(W[t - 15], 18) ^ W[t - 15] >> 3;
		uint32_t s1 = rotr(W[t - 2], 17) ^ rotr(W[t - 2], 19) ^ W[t - 2] >> 10;

		W[t] = s1 + W[t - 7] + s0 + W[t - 16];
	}
}

static void hash_block(uint32_t H[8], const uint8_t *block)
{
	uint32_t W[ROUNDS], v[8]; /* v: a to h */

	schedule(W, block);
	memcpy(v, H, sizeof(v));
	for (unsigned t = 0; t < ROUNDS; t++) {
		uint32_t S1 = rotr(v[4], 6) ^ rotr(v[4], 11) ^ rotr(v[4], 25);
		uint32_t S0 = rotr(v[0], 2) ^ rotr(v[0], 13) ^ rotr(v[0], 22);
		uint32_t ch = (v[4] & v[5]) ^ (~v[4] & v[6]);
		uint32_t maj = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
		uint32_t T1 = v[7] + S1 + ch + K[t] + W[t];

		memmove(v + 1, v, 7 * sizeof(v[0]));
		v[4] += T1;
		v[0] = T1 + S0 + maj;
	}
	for (unsigned i = 0; i < 8; i++) {
		H[i] += v[i];
	}
}

void sha256(uint8_t digest[SHA256_SIZE], const void *data, uint64_t size)
{
	uint32_t H[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
			 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
	uint8_t last[2 * SHA256_BLOCK] = {0};
	const uint8_t *p = data;
	uint64_t left = size;
	size_t blocks;

	for (; left >= SHA256_BLOCK; left -= SHA256_BLOCK, p += SHA256_BLOCK) {
		hash_block(H, p);
	}
	if (left) {
		memcpy(last, p, left);
	}
	last[left] = 0x80;
	blocks = left + 1 + LENGTH_SIZE > SHA256_BLOCK ? 2 : 1;
	put_be32(last + blocks * SHA256_BLOCK - 8, (uint32_t)(size >> 29));
	put_be32(last + blocks * SHA256_BLOCK - 4, (uint32_t)(size << 3));
	for (size_t i = 0; i < blocks; i++) {
		hash_block(H, last + i * SHA256_BLOCK);
	}
	for (unsigned i = 0; i < 8; i++) {
		put_be32(digest + 4 * i, H[i]);
	}
}
