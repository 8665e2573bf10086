// Shows the outputs of a kernel as a notebook of VS Code does: widgets with the manager that its
// Jupyter extension loads, HTML in the same document with its scripts run, all else as text.
//
// The page is driven through `window.notebook`. It keeps nothing: what was shown is handed back as
// data, and shown again with `show`, as VS Code does from its document.

import { KernelManager, ServerConnection } from "@jupyterlab/services";
import { activate } from "@vscode/jupyter-ipywidgets8";

const WIDGET = "application/vnd.jupyter.widget-view+json";
const SHOWN = ["display_data", "execute_result", "update_display_data"];

const address = new URL(location.href);
const serverSettings = ServerConnection.makeSettings({
  baseUrl: new URL(address.searchParams.get("base"), address).href,
  wsUrl: new URL(address.searchParams.get("base"), address).href.replace(/^http/, "ws"),
  token: address.searchParams.get("token"),
  appendToken: true,
});
const kernels = new KernelManager({ serverSettings });

// The three modules that there are: VS Code has them, too, in a loader of the page.
const modules = new Map();
window.define = (name, make) => modules.set(name, make());
window.requirejs = (names, done) => done(...names.map((name) => modules.get(name)));
activate();
window.vscIPyWidgets8.load();

// No widget of ours comes from elsewhere: whatever asks for a script is a mistake.
const scripts = {
  widgetsRegisteredInRequireJs: new Set(),
  loadWidgetScript: async (module) => console.error(`a script is asked for: ${module}`),
  errorHandler: (name, module, version, error) => console.error(`${module} ${name}: ${error}`),
  successHandler: () => undefined,
};

let kernel;
let manager;

/** Begin to show what a kernel does; widgets that it has already are asked for. */
async function attach(connection) {
  kernel = connection;
  // VS Code knows no subshells.
  kernel.commsOverSubshells = "disabled";
  await kernel.info;
  manager = new window.vscIPyWidgets.WidgetManager(kernel, document.body, scripts, () => undefined);
  await manager._loadFromKernel();
}

function place(name) {
  const container = document.createElement("div");
  container.className = "cell_container";
  const output = document.createElement("div");
  output.className = "output";
  output.id = name;
  container.append(output);
  document.getElementById("container").append(container);
  return output;
}

async function renderWidget(data, output) {
  output.classList.add("cell-output-ipywidget-background");
  const model = await manager.get_model(data.model_id);
  const view = await manager.create_view(model, { el: output });
  await manager.display_view(data, view, { node: output });
}

function renderHtml(markup, output) {
  const element = document.createElement("div");
  element.innerHTML = markup;
  output.replaceChildren(element);
  for (const dead of element.querySelectorAll("script")) {
    const script = document.createElement("script");
    script.text = dead.textContent;
    element.append(script);
    script.remove();
  }
}

async function render(data, output) {
  if (WIDGET in data && manager.has_model(data[WIDGET].model_id)) {
    await renderWidget(data[WIDGET], output);
  } else if ("text/html" in data) {
    renderHtml(data["text/html"], output);
  } else {
    output.append(Object.assign(document.createElement("pre"), { textContent: data["text/plain"] }));
  }
}

window.notebook = {
  /** Start a kernel; returns its id. */
  async start(name) {
    await attach(await kernels.startNew({ name }));
    return kernel.id;
  },

  /** The id of the kernel. */
  kernel: () => kernel.id,

  /** Go on with a kernel that another page has started. */
  async connect(id) {
    await attach(kernels.connectTo({ model: { id, name: "" } }));
  },

  /** Execute a cell and show what comes of it in a place of that name; returns the outputs. */
  async run(name, code) {
    const outputs = [];
    const shown = [];
    const execution = kernel.requestExecute({ code });
    execution.onIOPub = (message) => {
      const kind = message.header.msg_type;
      if (kind === "error") {
        shown.push(Promise.reject(new Error(message.content.traceback.join("\n"))));
      } else if (kind === "stream") {
        const data = { "text/plain": message.content.text };
        outputs.push(data);
        shown.push(render(data, place(name)));
      } else if (SHOWN.includes(kind)) {
        outputs.push(message.content.data);
        shown.push(render(message.content.data, place(name)));
      }
    };
    await execution.done;
    await Promise.all(shown);
    return outputs;
  },

  /** Show what another page got. */
  async show(name, outputs) {
    for (const data of outputs) await render(data, place(name));
  },

  /** The variables of a theme of VS Code, and its kind: vscode-light or vscode-dark. */
  dress(kind, variables) {
    for (const [name, value] of Object.entries(variables)) {
      document.documentElement.style.setProperty(`--vscode-${name}`, value);
    }
    document.body.className = kind;
    document.body.dataset.vscodeThemeKind = kind;
  },
};
