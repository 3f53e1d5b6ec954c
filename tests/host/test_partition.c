/*
 * hv/partition.c: a guest that the machine has no memory for is refused, whatever is left.
 */
#include "arch/x86_64/svm/npt_format.h"
#include "hv/partition.h"
#include "tests/fake/fake_guest.h"
#include "tests/host/test.h"

static const struct npt_format format = NPT_FORMAT;
static const uint8_t code[] = {0xf4};

TEST(memory_that_is_nearly_enough_is_refused)
{
	const struct partition *whole = fake_guest(1, "", code, sizeof(code));
	struct config_guest config = *whole->config;

	config.memory = MIB(16);
	for (uint64_t free = 0; free <= MIB(18); free += KIB(512)) {
		struct partition p = {
			.config = &config, .file = whole->file, .image = whole->image};
		struct refusal r = {""};
		bool made;

		fake_host_reset();
		fake_host.free_bytes = free;
		made = partition_create(&p, &format, &r);
		CHECK(made || strstr(r.text, "no memory") != NULL);
		CHECK(!made || free >= MIB(16));
	}
}
