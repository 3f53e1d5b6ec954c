/*
 * See fake_guest.h.
 */
#include "tests/fake/fake_guest.h"
#include "hv/cpuid.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct npt_format format = {
	.levels = 4,
	.name = "fake",
	.table = 7,
	.leaf = 1,
	.large = BIT(7),
	.write = 2,
	.gib_leaves = true,
};
const struct npt_format *fake_guest_format = &format;

struct partition *fake_guest(unsigned cpus, const char *extra, const void *code, size_t len)
{
	static struct config config;
	static struct partition p;
	struct refusal r = {""};
	char text[2048];

	fake_host_reset();
	fake_log_reset();
	fake_virt_reset();
	virt_controls = CONTROL_ALL;
	cpuid_init();
	snprintf(text, sizeof(text),
		 "[guest test]\ncpus = 0-%u\nmemory = 4M\nkernel = k.bin\nload = 0x8000\n"
		 "entry = 0x8000\nserial = com1\ndebug-exit = 0xf4\n%s\n",
		 cpus - 1, extra);
	if (!config_parse(&config, "test.conf", text, strlen(text), &r)) {
		printf("%s\n", r.text);
		abort();
	}
	memset(&p, 0, sizeof(p));
	p.config = &config.guest[0];
	p.file = &config;
	p.image = (struct load_image){.kernel = {code, len, "k.bin", ""},
				      .cmdline = "",
				      .flat = true,
				      .flat_load = 0x8000,
				      .flat_entry = 0x8000,
				      .memory = config.guest[0].memory};
	partitions[0] = &p;
	partition_count = 1;
	if (!partition_create(&p, fake_guest_format, &r)) {
		printf("%s\n", r.text);
		abort();
	}
	vcpu_turn(p.vcpu[0]);
	return &p;
}
