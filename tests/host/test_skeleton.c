/*
 * The configuration that the hardware report offers: on every machine, with the kernel's name
 * filled in, the parser and the machine's check take it.
 */
#include "hv/config.h"
#include "hv/lib/printf.h"
#include "hv/skeleton.h"
#include "tests/host/test.h"

static struct cpu_facts cpu[MAX_CPUS];
static struct pci_function function[4];
static struct skeleton_machine m;
static char text[8192];
static struct config c;
static struct refusal why;

static void put(void *ctx, const char *piece)
{
	(void)ctx;
	strncat(text, piece, sizeof(text) - strlen(text) - 1);
}

static void machine(unsigned cpus, unsigned threads, uint64_t memory)
{
	memset(cpu, 0, sizeof(cpu));
	for (unsigned i = 0; i < cpus; i++) {
		cpu[i].apic_id = i;
		cpu[i].thread_shift = threads == 2;
		cpu[i].package_shift = 8;
	}
	m = (struct skeleton_machine){.cpu = cpu, .cpus = cpus, .memory = memory, .iommu = true};
}

static const char *unusable(void *ctx, unsigned n)
{
	(void)ctx;
	return cpu[n].unusable.text[0] ? cpu[n].unusable.text : NULL;
}

/* Fills in the kernel and checks; afterwards `c` is what a boot would see. */
static void check_fits(void)
{
	struct config_machine there = {
		.cpus = m.cpus, .memory = m.memory - m.memory / 16, .cpu_unusable = unusable};
	char *kernel;

	text[0] = 0;
	memset(&why, 0, sizeof(why));
	skeleton_write(&m, put, NULL);
	CHECK(!strncmp(text, "# mullion.conf for this machine: ", 33));
	CHECK_STR(text + strlen(text) - 22, "# end of mullion.conf\n");
	while ((kernel = strstr(text, SKELETON_KERNEL)) != NULL) {
		memcpy(kernel, "bzImage", strlen(SKELETON_KERNEL));
	}
	CHECK(config_parse(&c, "t.conf", text, strlen(text), &why));
	CHECK(config_check_machine(&c, &there, &why));
	if (why.text[0]) {
		printf("%s\n%s", why.text, text);
	}
}

TEST(one_cpu)
{
	machine(1, 1, MIB(1000));
	check_fits();
	CHECK_EQ(c.guests, 1);
	CHECK_EQ(c.guest[0].memory, MIB(874));
	CHECK_STR(c.guest[0].kernel.name, "bzImage");
	CHECK_EQ(c.guest[0].serial, SERIAL_COM1);
}

TEST(every_size_of_machine)
{
	static const uint64_t memory[] = {MIB(64), MIB(110), MIB(500), GIB(3), GIB(600)};

	for (unsigned cpus = 1; cpus <= MAX_CPUS; cpus += cpus < 9 ? 1 : 13) {
		for (unsigned i = 0; i < ARRAY_SIZE(memory); i++) {
			machine(cpus, 1 + i % 2, memory[i]);
			check_fits();
		}
	}
}

/* Threads of a core stay together, however the firmware numbers them. */
TEST(whole_cores)
{
	machine(8, 2, GIB(2));
	for (unsigned i = 0; i < 8; i++) {
		cpu[i].apic_id = i < 4 ? 2 * i : 2 * (i - 4) + 1;
	}
	check_fits();
	CHECK_EQ(c.guests, 2);
	CHECK(strstr(text, "\ncpus = 0-1,4-5\n"));
	CHECK(strstr(text, "\ncpus = 2-3,6-7\n"));
}

TEST(two_threads_of_one_core_are_one_guests)
{
	machine(2, 2, GIB(2));
	check_fits();
	CHECK_EQ(c.guests, 1);
	CHECK_EQ(c.guest[0].cpus, 2);
}

TEST(little_memory_is_one_guests)
{
	machine(4, 1, MIB(200));
	check_fits();
	CHECK_EQ(c.guests, 1);
	CHECK_EQ(c.guest[0].cpus, 4);
}

TEST(much_memory_is_not_all_taken)
{
	machine(4, 1, GIB(600));
	check_fits();
	CHECK_EQ(c.guest[1].memory, GIB(4));
}

TEST(cpus_that_cannot_run_guests_are_left_out)
{
	machine(4, 1, GIB(2));
	refuse(&cpu[0].unusable, "CPU 0: no");
	refuse(&cpu[2].unusable, "CPU 2: no");
	check_fits();
	CHECK_EQ(c.guests, 2);
	CHECK_EQ(c.guest[0].cpu[0], 1);
	CHECK_EQ(c.guest[1].cpu[0], 3);
}

/* Nothing can run: no guest, and the parser says so. */
TEST(no_cpu_at_all)
{
	machine(1, 1, GIB(2));
	refuse(&cpu[0].unusable, "CPU 0: no");
	text[0] = 0;
	skeleton_write(&m, put, NULL);
	CHECK(!strstr(text, "[guest"));
}

TEST(system_and_devices)
{
	machine(1, 1, GIB(1));
	m.console = "com2, 0x1000";
	m.trust_tsc = true;
	m.function = function;
	m.functions = 2;
	function[0] = (struct pci_function){.bdf = pci_bdf(0, 4, 0),
					    .group = pci_bdf(0, 4, 0),
					    .vendor = 0x1b36,
					    .device = 0x10,
					    .class_revision = 0x01080200,
					    .cap_msix = 0x40,
					    .msix_entries = 65,
					    .bar = {{.size = 0x4000}}};
	function[1] = (struct pci_function){.bdf = pci_bdf(0, 31, 0), .class_revision = 0x06010000};
	check_fits();
	CHECK_EQ(c.system.console.port[0], 0x2f8);
	CHECK_EQ(c.system.console.port[1], 0x1000);
	CHECK_EQ(c.system.tsc, TSC_TRUST);
	CHECK_EQ(c.guest[0].pcis, 0);
	CHECK(strstr(text, "\n# pci = 00:04.0  # 1b36:0010 storage controller, MSI-X 65, 1 BAR\n"));
	CHECK(!strstr(text, "1f.0"));
	CHECK(!strstr(text, "No IOMMU"));
	m.iommu = false;
	check_fits();
	CHECK(strstr(text, "No IOMMU"));
}
