/* cli/devices.c - what there is to compute on. */
#include "cli.h"

static int print_json(nc_call *call, const nacre_machine *machine)
{
    cJSON *object = cJSON_CreateObject(), *cpu = cJSON_AddObjectToObject(object, "cpu");
    cJSON_AddStringToObject(cpu, "name", machine->cpu);
    cJSON_AddNumberToObject(cpu, "cores", machine->cores);
    cJSON_AddStringToObject(cpu, "features", machine->features);
    cJSON_AddStringToObject(cpu, "instruction_set", nacre_instruction_set_name(machine->best));
    cJSON_AddNumberToObject(cpu, "l1_bytes", (double)machine->l1_bytes);
    cJSON_AddNumberToObject(cpu, "l2_bytes", (double)machine->l2_bytes);
    cJSON_AddNumberToObject(cpu, "l3_bytes", (double)machine->l3_bytes);
    cJSON_AddNumberToObject(cpu, "memory_bytes", (double)machine->memory_bytes);
    cJSON *devices = cJSON_AddArrayToObject(object, "devices");
    cJSON_AddItemToArray(devices, cJSON_CreateString("cpu"));
    cJSON_AddItemToArray(devices, cJSON_CreateString("reference"));
    return nc_print_json(call, object);
}

static void print_size(const char *what, int64_t bytes)
{
    char text[NC_SIZE_TEXT];
    if (bytes > 0) printf("%s%s", what, nc_size_text(bytes, text));
}

static int run(nc_call *call)
{
    const nacre_machine *machine = nacre_machine_info();
    if (nc_flag(call, "json")) return print_json(call, machine);
    const char *bold = nc_style_code(stdout, NC_BOLD), *plain = nc_style_code(stdout, NC_PLAIN);
    printf("%scpu%s        %s\n", bold, plain, machine->cpu);
    printf("           %d %s", machine->cores, machine->cores == 1 ? "core" : "cores");
    print_size(", memory ", machine->memory_bytes);
    print_size(", L1 ", machine->l1_bytes);
    print_size(", L2 ", machine->l2_bytes);
    print_size(", L3 ", machine->l3_bytes);
    printf("\n           kernels of level %s (%s)\n", nacre_instruction_set_name(machine->best), machine->features);
    printf("%sreference%s  the same processor with plain kernels and double accumulation: slow, for checking\n", bold,
           plain);
    return NC_EXIT_DONE;
}

const nc_command nc_command_devices = {
    .name = "devices",
    .summary = "show what there is to compute on",
    .description = "Prints the processor, its cores, caches and memory as this process sees them, and the level of the "
                   "kernels chosen for it: base (x86-64-v2 or arm64), avx2 or avx512. --instruction-set lowers the "
                   "level in the commands that compute.",
    .with = NC_WITH_JSON,
    .examples = (const nc_example[]){{"nacre devices", NULL}, {"nacre devices --json", NULL}, {0}},
    .run = run,
};
