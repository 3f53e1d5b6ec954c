#include "tests/fake/fake_simd.h"
#include "hv/host.h"
#include <string.h>

uint8_t fake_simd[16][32];
uint8_t fake_mmx[8][8];

void host_simd_read(unsigned reg, unsigned bytes, void *out)
{
	memcpy(out, bytes == 8 ? fake_mmx[reg] : fake_simd[reg], bytes);
}

void host_simd_write(unsigned reg, unsigned bytes, bool zero_upper, const void *in)
{
	memcpy(bytes == 8 ? fake_mmx[reg] : fake_simd[reg], in, bytes);
	if (zero_upper && bytes == 16) {
		memset(fake_simd[reg] + 16, 0, 16);
	}
}
