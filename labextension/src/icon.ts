import { LabIcon } from '@jupyterlab/ui-components';

/** Squares within squares. */
export const fractalIcon = new LabIcon({
  name: 'fractal-jupyter:icon',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">
  <path class="jp-icon3 jp-icon-selectable" fill="#616161" fill-rule="evenodd" d="M8 8h8v8H8zM3 3h4v4H3zM10 3h4v4h-4zM17 3h4v4h-4zM3 10h4v4H3zM17 10h4v4h-4zM3 17h4v4H3zM10 17h4v4h-4zM17 17h4v4h-4z"/>
</svg>`
});
